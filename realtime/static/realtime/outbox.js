/**
 * Commands that wait to be acknowledged, in the order in which they were given.
 *
 * Promises: at most `limit` wait; at most `window` are on the wire, and of each at most one copy; a new subscription gets
 * everything unacknowledged again, oldest first, under the same keys; a refusal that says when to try again is obeyed a few
 * times, and holds back what stands behind it; where the trouble is the server's own and the outbox is `patient`, for as
 * long as it takes. A command leaves with its acknowledgement, a final refusal, when it is discarded, or after `timeoutMs`
 * on the wire without any answer. Time without a connection does not count.
 */

import { Backoff } from "./backoff.js";
import { defer } from "./deferred.js";
import { Refusal } from "./refusal.js";

/** @typedef {import("./clock.js").Clock} Clock */
/** @typedef {import("./clock.js").Cancel} Cancel */
/** @typedef {import("./codec/frames.js").Reply} Reply */
/** @typedef {import("./drawer.js").Drawer} Drawer */
/** @typedef {import("./drawer.js").Command} Command */
/** @typedef {(command: Command, onReply: (reply: Reply) => void) => void} Push */
/**
 * @typedef {object} Entry
 * @property {Command} command
 * @property {number} flight    counts the copies sent
 * @property {Backoff} backoff  between the copies
 * @property {number} refusals  counts those that a patient outbox does not sit out
 * @property {number} leftMs    how long it may still go unanswered
 * @property {number} dueAt     while on the wire: when that is over
 * @property {import("./deferred.js").Deferred<any> | null} deferred
 */

const MAX_REFUSALS = 5;
/** The server cannot for now, whoever asks for whatever: that passes, and says nothing about the command. */
const SERVERS_TROUBLE = new Set(["unavailable", "overloaded", "going_away"]);
/** Who has to wait longer is told so: what is written now may not be meant any more by then. */
const LONGEST_HOLD_SECONDS = 60;
/** Nothing is given up at the moment it is sent again. */
const MIN_PATIENCE_MS = 5_000;
/** A timer this late means that the machine slept. */
const SLEPT_MS = 5_000;

export class Outbox {
  #clock;
  #random;
  #limit;
  #timeoutMs;
  #maxWindow;
  #patient;
  #onDelay;
  /** How many may be on the wire: halved by a refusal for now, one more for each windowful acknowledged. */
  #window;
  /** @type {Map<string, Entry>} by key, in order */
  #entries = new Map();
  /** @type {Set<Entry>} on the wire */
  #flying = new Set();
  /** @type {Drawer | null} */
  #drawer = null;
  /** @type {Push | null} */
  #push = null;
  /** @type {{until: number, cancel: Cancel} | null} */
  #hold = null;
  /** @type {{dueAt: number, cancel: Cancel} | null} */
  #alarm = null;

  /**
   * @param {object} options
   * @param {Clock} options.clock
   * @param {() => number} options.random
   * @param {number} [options.limit]
   * @param {number} [options.timeoutMs]
   * @param {number} [options.window]
   * @param {boolean} [options.patient]  sit out the server's own trouble
   * @param {(command: Command, refusal: Refusal) => void} [options.onDelay]  a command was refused, and will be sent again
   */
  constructor({ clock, random, limit = 100, timeoutMs = 30_000, window = 16, patient = false, onDelay = () => {} }) {
    this.#clock = clock;
    this.#random = random;
    this.#limit = limit;
    this.#timeoutMs = timeoutMs;
    this.#maxWindow = this.#window = window;
    this.#patient = patient;
    this.#onDelay = onDelay;
  }

  /** What waits, oldest first. @returns {Command[]} */
  get commands() {
    return [...this.#entries.values()].map(({ command }) => ({ ...command }));
  }

  /** Keep what waits in this drawer from now on, behind what it holds already. @param {Drawer} drawer */
  adopt(drawer) {
    const younger = [...this.#entries.values()];
    const older = drawer.load(this.#clock.now()).filter(({ key }) => !this.#entries.has(key));
    this.#drawer = drawer;
    this.#entries = new Map();
    for (const command of older) this.#enter(this.#entry(command));
    for (const entry of younger) this.#enter(entry);
    for (const { command } of younger) drawer.put(command);
  }

  /**
   * Take a command in and send it when it can be sent. A key that waits already is the same command.
   * @param {Command} command
   * @returns {Promise<any>} the response of its acknowledgement; rejects with a Refusal
   */
  add(command) {
    let entry = this.#entries.get(command.key);
    if (!entry) {
      if (this.#entries.size >= this.#limit) return Promise.reject(this.#full());
      entry = this.#entry(command);
      this.#enter(entry);
      this.#drawer?.put(command);
    }
    entry.deferred ??= defer();
    this.#pump();
    return entry.deferred.promise;
  }

  /** A subscription stands: send everything, oldest first. @param {Push} push */
  open(push) {
    this.close();
    this.#push = push;
    this.#pump();
  }

  /** The subscription is over: nothing is on the wire any more. */
  close() {
    this.#push = null;
    this.#alarm?.cancel();
    this.#alarm = null;
    const now = this.#clock.now();
    for (const entry of this.#flying) entry.leftMs = Math.max(MIN_PATIENCE_MS, entry.dueAt - now);
    this.#flying.clear();
  }

  /**
   * The room has it: a reply said so, or its event was seen.
   * @param {string} key
   * @param {any} response
   */
  acknowledge(key, response) {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#forget(entry);
    this.#window = Math.min(this.#maxWindow, this.#window + 1 / this.#window);
    entry.deferred?.resolve(response);
    this.#pump();
  }

  /**
   * Send this one no more. A copy on the wire may still arrive.
   * @param {string} key
   * @param {Refusal} refusal
   */
  discard(key, refusal) {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#reject(entry, refusal);
    this.#pump();
  }

  /**
   * Give everything up.
   * @param {Refusal} refusal
   * @param {{keep?: boolean}} [options]  keep: leave it in the drawer, for when this person comes back
   */
  abandon(refusal, { keep = false } = {}) {
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    this.#flying.clear();
    this.#hold?.cancel();
    this.#hold = null;
    for (const { command, deferred } of entries) {
      if (!keep) this.#drawer?.remove(command.key);
      deferred?.reject(refusal);
    }
  }

  /** Put what may go onto the wire. Looks at no more entries than the window is wide. */
  #pump() {
    if (!this.#push || this.#hold || this.#entries.size === this.#flying.size) return;
    for (const entry of this.#entries.values()) {
      if (!this.#push || this.#flying.size >= Math.floor(this.#window)) break;
      if (!this.#flying.has(entry)) this.#fly(this.#push, entry);
    }
    this.#watch();
  }

  /**
   * @param {Push} push
   * @param {Entry} entry
   */
  #fly(push, entry) {
    const flight = ++entry.flight;
    entry.dueAt = this.#clock.now() + entry.leftMs;
    this.#flying.add(entry);
    push(entry.command, ({ ok, response }) => {
      if (this.#entries.get(entry.command.key) !== entry) return;
      if (ok) this.acknowledge(entry.command.key, response);
      else if (flight === entry.flight && this.#flying.has(entry)) this.#refused(entry, Refusal.from(response));
    });
  }

  /**
   * @param {Entry} entry
   * @param {Refusal} refusal
   */
  #refused(entry, refusal) {
    this.#flying.delete(entry);
    entry.leftMs = this.#timeoutMs;
    const holds = refusal.retryAfter !== null && refusal.retryAfter <= LONGEST_HOLD_SECONDS;
    const sitsOut = this.#patient && SERVERS_TROUBLE.has(refusal.code);
    if (!holds || (!sitsOut && entry.refusals >= MAX_REFUSALS)) {
      this.#reject(entry, refusal);
    } else {
      if (!sitsOut) entry.refusals += 1;
      this.#holdFor(refusal.retryAfter * 1000 + entry.backoff.next());
      this.#onDelay({ ...entry.command }, refusal);
    }
    this.#pump();
  }

  /** Send nothing for a while, and then fewer at a time: they would be refused together again. @param {number} ms */
  #holdFor(ms) {
    const until = this.#clock.now() + ms;
    if (this.#hold && this.#hold.until >= until) return;
    if (!this.#hold) this.#window = Math.max(1, this.#window / 2);
    this.#hold?.cancel();
    const cancel = this.#clock.after(ms, () => {
      this.#hold = null;
      this.#pump();
    });
    this.#hold = { until, cancel };
  }

  /** Have one alarm, for the entry that is due first. */
  #watch() {
    if (this.#flying.size === 0) return;
    const dueAt = Math.min(...[...this.#flying].map((entry) => entry.dueAt));
    if (this.#alarm && this.#alarm.dueAt <= dueAt) return;
    this.#alarm?.cancel();
    const cancel = this.#clock.after(dueAt - this.#clock.now(), () => this.#expire(dueAt));
    this.#alarm = { dueAt, cancel };
  }

  /** @param {number} dueAt */
  #expire(dueAt) {
    this.#alarm = null;
    const now = this.#clock.now();
    const slept = now - dueAt > SLEPT_MS;
    for (const entry of this.#flying) {
      if (slept) entry.dueAt = now + this.#timeoutMs;
      else if (entry.dueAt <= now) this.#reject(entry, this.#unanswered());
    }
    this.#pump();
    this.#watch();
  }

  /**
   * @param {Entry} entry
   * @param {Refusal} refusal
   */
  #reject(entry, refusal) {
    this.#forget(entry);
    entry.deferred?.reject(refusal);
  }

  /** @param {Entry} entry */
  #forget(entry) {
    this.#entries.delete(entry.command.key);
    this.#flying.delete(entry);
    this.#drawer?.remove(entry.command.key);
  }

  /** @param {Entry} entry */
  #enter(entry) {
    this.#entries.set(entry.command.key, entry);
  }

  /** @param {Command} command @returns {Entry} */
  #entry(command) {
    const backoff = new Backoff({ random: this.#random });
    return { command, flight: 0, backoff, refusals: 0, leftMs: this.#timeoutMs, dueAt: 0, deferred: null };
  }

  #full() {
    return new Refusal("outbox_full", `More than ${this.#limit} commands wait to be sent.`, 1);
  }

  #unanswered() {
    return new Refusal("timeout", `No answer within ${this.#timeoutMs / 1000} s.`, 0);
  }
}
