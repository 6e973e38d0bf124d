/**
 * One topic's place on the socket: joins, joins again after a loss, and knows which frames still belong to it.
 *
 * Owns the join_ref and the decision whether to come back: a refusal with `retry_after`, a crash and a silent server are
 * tried again with a growing, random wait; `room_ended`, `phx_close` and a final refusal are the end. Frames of an earlier
 * join are dropped. What is inside the payloads is the owner's business.
 */

import { Backoff } from "./backoff.js";
import { defer } from "./deferred.js";
import { Refusal } from "./refusal.js";

/** @typedef {import("./clock.js").Clock} Clock */
/** @typedef {import("./clock.js").Cancel} Cancel */
/** @typedef {import("./codec/frames.js").Frame} Frame */
/** @typedef {import("./codec/frames.js").Payload} Payload */
/** @typedef {import("./codec/frames.js").Reply} Reply */
/** @typedef {import("./line.js").Line} Line */
/** @typedef {"idle" | "joining" | "joined" | "waiting" | "ended"} Status */
/**
 * @typedef {object} Owner
 * @property {() => Payload} joinPayload              asked at every join
 * @property {(welcome: Payload) => void} joined
 * @property {(event: string, payload: Payload) => void} receive  only while joined
 * @property {(refusal: Refusal) => void} refused     for now: it is tried again
 * @property {() => void} interrupted                 what was asked may stay without an answer
 * @property {(refusal: Refusal) => void} ended
 * @property {() => void} statusChanged               to anything but "joined", which `joined` says
 */

const JOIN_MS = 30_000;
const LEAVE_MS = 5_000;
/** A subscription that stood this long was a good one: its end starts a new count of tries. */
const STEADY_MS = 10_000;

export class Subscription {
  #topic;
  #clock;
  #backoff;
  #wake;
  #goodbye;
  /** @type {Owner} */
  #owner = /** @type {any} */ (null);
  /** @type {Line | null} */
  #line = null;
  /** @type {string | null} */
  #joinRef = null;
  /** @type {Status} */
  #status = "idle";
  #joinedAt = 0;
  /** @type {Cancel | null} */
  #cancel = null;

  /**
   * @param {string} topic
   * @param {object} options
   * @param {Clock} options.clock
   * @param {() => number} options.random
   * @param {() => Refusal | null} options.wake  asks for a line; the answer says why there will be none
   * @param {() => Refusal | null} options.goodbye  why the server lets go of the whole connection, where it has said so
   */
  constructor(topic, { clock, random, wake, goodbye }) {
    this.#topic = topic;
    this.#clock = clock;
    this.#backoff = new Backoff({ random });
    this.#wake = wake;
    this.#goodbye = goodbye;
  }

  get status() {
    return this.#status;
  }

  /** Whether this is joined, or is to be. */
  get isWanted() {
    return this.#status !== "idle" && this.#status !== "ended";
  }

  /** Say whose subscription this is; once, before anything else. @param {Owner} owner */
  serve(owner) {
    this.#owner = owner;
  }

  start() {
    if (this.isWanted) return;
    this.#backoff.reset();
    this.#become("waiting");
    const refusal = this.#wake();
    if (refusal) this.end(refusal);
    else this.#join();
  }

  /** Leave. Fulfilled when the server has confirmed it, or cannot any more. */
  async stop() {
    const line = this.#line;
    const joinRef = this.#joinRef;
    this.#setTimer(null);
    this.#joinRef = null;
    this.#become("idle");
    if (line && joinRef) await this.#leave(line, joinRef);
  }

  /** Lost the place in the room's order: join again, at once if this is not becoming a habit. */
  rejoin() {
    if (this.#status !== "joined") return;
    this.#forgiveIfSteady();
    this.#owner.interrupted();
    if (this.#backoff.tries > 0) return this.#again();
    this.#backoff.next();
    this.#status = "waiting";
    this.#join();
  }

  /** The server has forgotten the subscription, or broke it: join again after a wait. */
  crashed() {
    if (this.#status !== "joined" && this.#status !== "joining") return;
    this.#forgiveIfSteady();
    this.#owner.interrupted();
    this.#again();
  }

  /** @param {Refusal} refusal */
  end(refusal) {
    if (!this.isWanted) return;
    this.#setTimer(null);
    this.#joinRef = null;
    this.#become("ended");
    this.#owner.ended(refusal);
  }

  /** @param {Line} line */
  opened(line) {
    this.#line = line;
    this.#join();
  }

  /** The line is gone. A wait that the server asked for goes on. */
  closed() {
    this.#line = null;
    if (this.#status !== "joined" && this.#status !== "joining") return;
    this.#forgiveIfSteady();
    this.#setTimer(null);
    this.#joinRef = null;
    this.#owner.interrupted();
    this.#become("waiting");
  }

  /**
   * Ask something within this subscription.
   * @param {string} event
   * @param {Payload} payload
   * @param {(reply: Reply) => void} onReply
   */
  ask(event, payload, onReply) {
    if (!this.#line) return;
    const ref = this.#line.nextRef();
    this.#line.ask({ joinRef: this.#joinRef, ref, topic: this.#topic, event, payload }, onReply);
  }

  /**
   * Say something, if this is joined.
   * @param {string} event
   * @param {Payload} payload
   */
  tell(event, payload) {
    if (this.#status !== "joined") return;
    this.#line?.tell({ joinRef: this.#joinRef, topic: this.#topic, event, payload });
  }

  /** @param {Frame} frame */
  receive({ joinRef, event, payload }) {
    if (this.#joinRef === null || (joinRef !== null && joinRef !== this.#joinRef)) return;
    if (event === "phx_close") this.end(this.#goodbye() ?? new Refusal("closed", "The server closed the subscription."));
    else if (event === "phx_error") this.crashed();
    else if (event === "room_ended") this.#ended(Refusal.from(payload));
    else if (this.#status === "joined") this.#owner.receive(event, payload);
  }

  #join() {
    const line = this.#line;
    if (!line || this.#status !== "waiting" || this.#cancel) return;
    const ref = line.nextRef();
    this.#joinRef = ref;
    this.#become("joining");
    this.#setTimer(JOIN_MS, () => this.#again());
    const payload = this.#owner.joinPayload();
    line.ask({ joinRef: ref, ref, topic: this.#topic, event: "phx_join", payload }, (reply) => {
      if (ref === this.#joinRef && this.#status === "joining") this.#answered(reply);
    });
  }

  /** @param {Reply} reply */
  #answered({ ok, response }) {
    this.#setTimer(null);
    if (!ok) return this.#ended(Refusal.from(response));
    this.#joinedAt = this.#clock.now();
    this.#status = "joined";
    this.#owner.joined(response);
  }

  /** @param {Refusal} refusal */
  #ended(refusal) {
    if (refusal.retryAfter === null) return this.end(refusal);
    this.#owner.interrupted();
    this.#owner.refused(refusal);
    this.#again(refusal.retryAfter * 1000);
  }

  /** @param {number} [leastMs] */
  #again(leastMs = 0) {
    this.#joinRef = null;
    this.#setTimer(leastMs + this.#backoff.next(), () => this.#join());
    this.#become("waiting");
  }

  /**
   * @param {Line} line
   * @param {string} joinRef
   */
  #leave(line, joinRef) {
    const left = defer();
    const cancel = this.#clock.after(LEAVE_MS, () => left.resolve(undefined));
    const frame = { joinRef, ref: line.nextRef(), topic: this.#topic, event: "phx_leave", payload: {} };
    line.ask(frame, () => {
      cancel();
      left.resolve(undefined);
    });
    return left.promise;
  }

  #forgiveIfSteady() {
    if (this.#status === "joined" && this.#clock.now() - this.#joinedAt >= STEADY_MS) this.#backoff.reset();
  }

  /** @param {Status} status */
  #become(status) {
    if (status === this.#status) return;
    this.#status = status;
    this.#owner.statusChanged();
  }

  /**
   * Have this timer and no other.
   * @param {number | null} ms
   * @param {() => void} [callback]
   */
  #setTimer(ms, callback) {
    this.#cancel?.();
    this.#cancel = null;
    if (ms === null || !callback) return;
    this.#cancel = this.#clock.after(ms, () => {
      this.#cancel = null;
      callback();
    });
  }
}
