/**
 * The text frames of the wire: `[join_ref, ref, topic, event, payload]` (Phoenix Channels, protocol V2, JSON).
 *
 * Pure: text in, values out. What cannot be understood decodes to null; nothing here throws because of what a server sent.
 */

import { isObject } from "./shapes.js";

/** @typedef {{[name: string]: unknown}} Payload */
/**
 * @typedef {object} Frame
 * @property {string | null} joinRef  the ref of the join that it belongs to; null for a broadcast
 * @property {string | null} ref      what a reply answers
 * @property {string} topic
 * @property {string} event
 * @property {Payload} payload
 */
/** @typedef {{ok: boolean, response: Payload}} Reply */

export const VERSION = "2.0.0";

/** @param {Frame} frame */
export function encode({ joinRef, ref, topic, event, payload }) {
  return JSON.stringify([joinRef, ref, topic, event, payload]);
}

/**
 * Read one text frame; null where it is none. Elements past the fifth are ignored.
 * @param {unknown} text
 * @returns {Frame | null}
 */
export function decode(text) {
  const parts = parse(text);
  if (!Array.isArray(parts) || parts.length < 5) return null;
  const [joinRef, ref, topic, event, payload] = parts;
  if (!isRef(joinRef) || !isRef(ref)) return null;
  if (typeof topic !== "string" || typeof event !== "string" || !isObject(payload)) return null;
  return { joinRef, ref, topic, event, payload };
}

/**
 * Read the payload of a `phx_reply`. Every status but "ok" is a refusal.
 * @param {Payload} payload
 * @returns {Reply}
 */
export function readReply({ status, response }) {
  return { ok: status === "ok", response: isObject(response) ? response : {} };
}

/** @param {unknown} text */
function parse(text) {
  if (typeof text !== "string") return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * @param {unknown} value
 * @returns {value is string | null}
 */
function isRef(value) {
  return value === null || typeof value === "string";
}
