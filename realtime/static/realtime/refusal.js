/**
 * No, with a reason: what the server refused (docs/protocol.md lists its codes), or what this client had to give up.
 *
 * `retryAfter` (seconds) is a number exactly when trying again can help, and null otherwise.
 * The client's own codes: `timeout`, `outbox_full`, `too_large`, `left`, `closed`, `stopped`, `person_changed`,
 * `discarded`.
 */

import { isObject } from "./codec/shapes.js";

/** Longer waits are cut to this: a timer beyond 24.8 days would fire at once. */
const LONGEST_RETRY_SECONDS = 3600;

export class Refusal extends Error {
  /**
   * @param {string} code
   * @param {string} message  a sentence that can be shown to a person
   * @param {number | null} [retryAfter]  seconds
   * @param {string | null} [until]  of a ban or a mute: when it ends, ISO 8601
   */
  constructor(code, message, retryAfter = null, until = null) {
    super(message);
    this.name = "Refusal";
    this.code = code;
    this.retryAfter = retryAfter;
    this.until = until;
  }

  /**
   * Read the payload of a refusal, also a plain Phoenix `{"reason": "..."}`.
   * @param {unknown} payload
   */
  static from(payload) {
    const { code, reason, message, retry_after: seconds, until } = isObject(payload) ? payload : /** @type {any} */ ({});
    const name = text(code) ?? text(reason) ?? "refused";
    return new Refusal(name, text(message) ?? name, readSeconds(seconds), text(until));
  }
}

/** @param {unknown} value */
function readSeconds(value) {
  if (typeof value !== "number" || !(value >= 0)) return null;
  return Math.min(value, LONGEST_RETRY_SECONDS);
}

/** @param {unknown} value */
function text(value) {
  return typeof value === "string" ? value : null;
}
