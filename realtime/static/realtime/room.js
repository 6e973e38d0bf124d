/**
 * One room, as a page uses it: `socket.room("lobby")` makes it.
 *
 * Promises: handlers get each event once and in the order of `seq`, across reconnects, or "gap" is fired where the missing
 * part is not kept any more; a durable command is sent until it is acknowledged, under one key, so that it happens once.
 * Register handlers before `join()`: what was missed since `since` is delivered with the welcome.
 *
 * Fires "joined" (detail: the welcome; at every join, before its events are delivered), "status", "gap" (detail: the
 * welcome; what the page shows and what follows do not meet), "cleared" (detail: {seq}), "removed" (detail: {seq}; what this
 * event said was taken away), "delayed" (detail: {key, refusal}; the server cannot take this command for now, and gets it
 * again), "refused" (detail: a Refusal; the room cannot let us in for now, and is asked again) and "ended" (detail: a Refusal).
 */

import { isSeq, readEvent, readEvents, readMute, readSlow, readWelcome, readWords } from "./codec/shapes.js";
import { defer } from "./deferred.js";
import { Drawer } from "./drawer.js";
import { Feed } from "./feed.js";
import { Handlers } from "./handlers.js";
import { newKey } from "./key.js";
import { Outbox } from "./outbox.js";
import { Presence } from "./presence.js";
import { Refusal } from "./refusal.js";

/** @typedef {import("./clock.js").Clock} Clock */
/** @typedef {import("./codec/frames.js").Payload} Payload */
/** @typedef {import("./codec/frames.js").Reply} Reply */
/** @typedef {import("./codec/shapes.js").LoggedEvent} LoggedEvent */
/** @typedef {import("./codec/shapes.js").Person} Person */
/** @typedef {import("./codec/shapes.js").RoomEvent} RoomEvent */
/** @typedef {import("./codec/shapes.js").Welcome} Welcome */
/** @typedef {import("./drawer.js").Command} Command */
/** @typedef {import("./drawer.js").TabStorage} TabStorage */
/** @typedef {import("./subscription.js").Subscription} Subscription */
/** @typedef {import("./subscription.js").Status} Status */
/**
 * @typedef {object} World  what a room needs from around it; the Socket hands it over
 * @property {Clock} clock
 * @property {() => number} random
 * @property {TabStorage | null} storage
 * @property {number} timeout    ms on the wire without an answer after which a command is given up
 * @property {number} outbox     how many commands may wait
 * @property {number} maxBytes   of a frame
 * @property {(error: unknown) => void} report
 */

/** The event that takes another one's data away: the one of its own names that a room tells its pages like any event. */
const REMOVED = "room_removed";
const LEGAL_KEY = /^[\x21-\x7e]{1,64}$/;
/** What a frame needs beside the command's arguments: refs, topic, names, a key. */
const FRAME_OVERHEAD_BYTES = 512;
const MAX_QUESTIONS = 16;

export class Room extends EventTarget {
  #slug;
  #subscription;
  #world;
  #feed;
  #handlers;
  #outbox;
  #questions;
  #presence = new Presence();
  /** @type {Welcome | null} */
  #welcome = null;
  /** @type {Person | null} */
  #you;
  /** @type {string | null} whose commands the outbox holds */
  #senderId = null;
  /** The newest seq known to have left the log. */
  #tail = 0;
  /** @type {Refusal | null} */
  #refusal = null;
  #lastQuestion = 0;
  /** @type {import("./deferred.js").Deferred<Welcome> | null} */
  #joining = null;

  /**
   * @param {string} slug
   * @param {Subscription} subscription
   * @param {World} world
   * @param {{since?: number, you?: Person}} [page]  what the page was rendered with: its newest seq, and for whom
   */
  constructor(slug, subscription, world, { since, you } = {}) {
    super();
    this.#slug = slug;
    this.#subscription = subscription;
    this.#world = world;
    this.#feed = new Feed((event) => this.#deliver(event), isSeq(since) ? since : null);
    this.#you = you ?? null;
    this.#handlers = new Handlers(world.report);
    const options = { clock: world.clock, random: world.random, timeoutMs: world.timeout };
    const onDelay = ({ key }, refusal) => this.#fire("delayed", { key, refusal });
    this.#outbox = new Outbox({ ...options, limit: world.outbox, patient: true, onDelay });
    this.#questions = new Outbox({ ...options, limit: MAX_QUESTIONS });
    if (you) this.#sendAs(you.id);
    subscription.serve({
      joinPayload: () => (this.#feed.seq === null ? {} : { since: this.#feed.seq }),
      joined: (response) => this.#joined(readWelcome(response)),
      receive: (event, payload) => this.#receive(event, payload),
      refused: (refusal) => this.#fire("refused", refusal),
      interrupted: () => this.#interrupted(),
      ended: (refusal) => this.#ended(refusal),
      statusChanged: () => this.#fire("status", this.status),
    });
  }

  get slug() {
    return this.#slug;
  }

  /** @returns {Status} */
  get status() {
    return this.#subscription.status;
  }

  /** The newest seq delivered, or given as `since`; null before the first join without one. */
  get seq() {
    return this.#feed.seq;
  }

  /** What the room's kind folded its events into, as of `stateSeq`. */
  get state() {
    return this.#welcome?.state ?? {};
  }

  /** Where `state` stands: a handler that folds events itself skips those up to here. */
  get stateSeq() {
    return this.#welcome?.seq ?? 0;
  }

  /** Who the server takes us for. */
  get you() {
    return this.#you;
  }

  /** Of "act" and "moderate", what this person may do here. */
  get can() {
    return this.#welcome?.can ?? [];
  }

  /** Until when this person may not act: {until} in ISO 8601, null for good; null itself where they are not muted. */
  get muted() {
    return this.#welcome?.muted ?? null;
  }

  /** In slow mode: how many seconds this person has to wait from one command to the next; null where they need not. */
  get slow() {
    return this.#welcome?.slow ?? null;
  }

  get presence() {
    return this.#presence;
  }

  /** Commands that are not acknowledged yet, oldest first; those of before a reload too, once it is known who we are. */
  get pending() {
    return this.#outbox.commands;
  }

  /** Why the room ended, while its status is "ended". */
  get refusal() {
    return this.#refusal;
  }

  /**
   * Join, and stay joined across every loss. Pending until the server lets us in; rejects with a Refusal when it never will.
   * @returns {Promise<Welcome>}
   */
  join() {
    if (this.status === "joined" && this.#welcome) return Promise.resolve(this.#welcome);
    if (this.#joining) return this.#joining.promise;
    const { promise } = (this.#joining = defer());
    this.#refusal = null;
    this.#subscription.start();
    return promise;
  }

  /** Leave. Commands that the server has not answered by then are given up. */
  async leave() {
    const refusal = new Refusal("left", "The room was left.");
    this.#joining?.reject(refusal);
    this.#joining = null;
    this.#interrupted();
    await this.#subscription.stop();
    if (this.status !== "idle") return;
    this.#giveUp(refusal);
    this.#presence.clear();
  }

  /**
   * Hear events by name; "*" hears all.
   * @param {string} name
   * @param {(event: any) => void} handler  is called with a RoomEvent
   * @returns {() => void} takes the handler away again
   */
  on(name, handler) {
    return this.#handlers.add(name, handler);
  }

  /**
   * Send a durable command. Waits while there is no connection, survives a reload of the tab, and is sent again under the
   * same key until it is answered. A key that is already pending is that same command: the page can take up what it finds
   * in `pending` by sending it again with its key.
   * @param {string} name
   * @param {{[name: string]: any}} [data]
   * @param {{key?: string}} [options]  key: 1 to 64 printable ASCII characters without spaces
   * @returns {Promise<{seq: number}>} rejects with a Refusal
   */
  async send(name, data = {}, { key = newKey() } = {}) {
    if (!LEGAL_KEY.test(key)) throw new RangeError("expected a key of 1 to 64 printable ASCII characters without spaces");
    const text = JSON.stringify(data);
    if (!text?.startsWith("{")) throw new TypeError("expected a command's data to be an object");
    if (this.#tooLarge(text)) throw new Refusal("too_large", "This is too much to send at once.");
    if (this.#refusal) throw this.#refusal;
    const at = new Date(this.#world.clock.now()).toISOString();
    return this.#outbox.add({ key, name, data: JSON.parse(text), at });
  }

  /**
   * Give up a command that is pending: it is not sent again, and its promise rejects. A copy on its way may still arrive.
   * @param {string} key
   */
  discard(key) {
    this.#outbox.discard(key, new Refusal("discarded", "This was discarded."));
  }

  /**
   * Say something that need not arrive: typing, a cursor. Dropped unless joined; never throws.
   * @param {string} name
   * @param {{[name: string]: any}} [data]
   */
  signal(name, data = {}) {
    try {
      this.#subscription.tell(name, data);
    } catch (error) {
      this.#world.report(error);
    }
  }

  /**
   * Read back: up to `limit` events older than `before` (default: the newest), oldest first.
   * @param {{before?: number, limit?: number}} [range]
   * @returns {Promise<{events: LoggedEvent[], complete: boolean}>} complete: nothing older is kept
   */
  async history({ before, limit } = {}) {
    const range = { ...(isSeq(before) && { before }), ...(limit !== undefined && { limit }) };
    const { events, complete } = await this.#request("room_history", range);
    return { events: readEvents(events), complete: complete === true };
  }

  /**
   * Take away what an event says, for everybody and for good. For moderators, and for authors where the kind lets them.
   * @param {number} seq
   * @returns {Promise<{seq: number}>} the event that says so; rejects with a Refusal
   */
  async remove(seq) {
    return this.#request("room_remove", { seq });
  }

  /**
   * Take somebody out of the room; they may come back. This and what follows is for moderators.
   * @param {string} person  their id
   */
  async kick(person) {
    await this.#request("room_kick", { person });
  }

  /**
   * Take somebody out of the room and keep them out.
   * @param {string} person
   * @param {{seconds?: number, reason?: string}} [options]  without `seconds` for good; `reason` is for moderators to read
   */
  async ban(person, options = {}) {
    await this.#request("room_ban", { person, ...options });
  }

  /** @param {string} person */
  async unban(person) {
    await this.#request("room_unban", { person });
  }

  /**
   * Let somebody read, but not act.
   * @param {string} person
   * @param {{seconds?: number, reason?: string}} [options]
   */
  async mute(person, options = {}) {
    await this.#request("room_mute", { person, ...options });
  }

  /** @param {string} person */
  async unmute(person) {
    await this.#request("room_unmute", { person });
  }

  /**
   * Ask the room itself. Waits while there is no connection, and is asked again where no answer came.
   * @param {string} name
   * @param {Payload} data
   * @returns {Promise<any>}
   */
  #request(name, data) {
    if (this.#refusal) return Promise.reject(this.#refusal);
    const key = String((this.#lastQuestion += 1));
    return this.#questions.add({ key, name, data, at: "" });
  }

  /** @param {Welcome} welcome */
  #joined(welcome) {
    const gap = !this.#feed.continues(welcome);
    if (gap && welcome.seq < this.#tail) this.#tail = 0;
    this.#welcome = welcome;
    this.#you = welcome.you;
    this.#sendAs(welcome.you?.id ?? "");
    this.#presence.expectState();
    this.#fire("status", this.status);
    if (gap) this.#fire("gap", welcome);
    this.#fire("joined", welcome);
    this.#cleared(welcome.tail);
    this.#feed.catchUp(welcome);
    this.#joining?.resolve(welcome);
    this.#joining = null;
    this.#flush();
  }

  /**
   * Events up to this seq have left the log, now or while the page was away.
   * @param {number} seq
   */
  #cleared(seq) {
    if (seq <= this.#tail) return;
    this.#tail = seq;
    this.#fire("cleared", { seq });
  }

  /**
   * The server has looked again at what this person may do.
   * @param {Payload} told
   */
  #may({ can, muted, slow }) {
    if (!this.#welcome || !Array.isArray(can)) return;
    this.#welcome = { ...this.#welcome, can: readWords(can), muted: readMute(muted), slow: readSlow(slow) };
    this.#fire("can", this.#welcome.can);
  }

  /** Send what waits, unless a handler has left the room meanwhile. */
  #flush() {
    if (this.status !== "joined") return;
    this.#questions.open(({ name, data }, onReply) => this.#ask(name, data, onReply));
    this.#outbox.open(({ name, data, key }, onReply) => this.#ask(name, { ...data, key }, onReply));
  }

  /**
   * @param {string} name
   * @param {Payload} payload
   * @param {(reply: Reply) => void} onReply
   */
  #ask(name, payload, onReply) {
    this.#subscription.ask(name, payload, (reply) => {
      if (!reply.ok && reply.response.code === "unmatched_topic") this.#subscription.crashed();
      else onReply(reply);
    });
  }

  /**
   * @param {string} name
   * @param {Payload} payload
   */
  #receive(name, payload) {
    if (name.startsWith("presence_")) this.#presence.receive(name, payload);
    else if (name === "room_can") this.#may(payload);
    else if (name === "room_cleared") this.#cleared(isSeq(payload.seq) ? payload.seq : 0);
    else if (name === REMOVED || !/^(room|phx)_/.test(name)) this.#event(readEvent(name, payload));
  }

  /** @param {RoomEvent} event */
  #event(event) {
    if (event.seq === undefined) this.#handlers.call(event);
    else if (this.#feed.take(/** @type {LoggedEvent} */ (event)) === "early") this.#subscription.rejoin();
  }

  /** @param {LoggedEvent} event */
  #deliver(event) {
    if (event.key !== null && event.by?.id === this.#you?.id) this.#outbox.acknowledge(event.key, { seq: event.seq });
    if (event.name === REMOVED && isSeq(event.data.seq)) this.#fire("removed", { seq: event.data.seq });
    this.#handlers.call(event);
  }

  #interrupted() {
    this.#outbox.close();
    this.#questions.close();
  }

  /** @param {Refusal} refusal */
  #ended(refusal) {
    this.#refusal = refusal;
    this.#interrupted();
    this.#giveUp(refusal);
    this.#presence.clear();
    this.#joining?.reject(refusal);
    this.#joining = null;
    this.#fire("ended", refusal);
  }

  /** Reject what waits. Who only has to log in again finds it in the tab afterwards. @param {Refusal} refusal */
  #giveUp(refusal) {
    const keep = refusal.code === "login_required";
    this.#outbox.abandon(refusal, { keep });
    this.#questions.abandon(refusal);
    if (keep) this.#senderId = null;
  }

  /** Nothing that one person wrote goes out in the name of another. @param {string} id */
  #sendAs(id) {
    if (id === this.#senderId) return;
    if (this.#senderId !== null) {
      this.#outbox.abandon(new Refusal("person_changed", "Someone else is logged in now."), { keep: true });
    }
    this.#senderId = id;
    this.#outbox.adopt(new Drawer(this.#world.storage, id, this.#slug));
  }

  /** @param {string} text */
  #tooLarge(text) {
    const room = this.#world.maxBytes - FRAME_OVERHEAD_BYTES;
    return text.length * 3 > room && new TextEncoder().encode(text).length > room;
  }

  /**
   * @param {string} type
   * @param {any} detail
   */
  #fire(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
