/**
 * One connection to the site for all rooms of a page, kept alive.
 *
 *     const socket = new Socket("/realtime");            // where the site mounts realtime
 *     const room = socket.room("lobby", { since: 41 });  // 41: the newest seq that the page shows already
 *     room.on("message", (event) => show(event.by, event.data.text));
 *     await room.join();
 *     await room.send("message", { text: "hello" });     // fulfilled when it is in the database
 *
 * Where there is no cookie, on a page of another origin, an `authToken` says who it is.
 *
 * It opens with the first join. Lost, it comes back by itself after a random, growing wait; at once when the page is seen
 * again or the network is back; not while the page is hidden; not when the server asked it to stay away; and not while there
 * is no room to join, once the server has closed it for that. Rooms join again where they were. Fires "status" (detail: {status, retryAt}) and "refusal" (detail: a Refusal of the whole connection).
 */

import { Backoff } from "./backoff.js";
import { VERSION } from "./codec/frames.js";
import { Line } from "./line.js";
import { Page } from "./page.js";
import { Refusal } from "./refusal.js";
import { Room } from "./room.js";
import { Subscription } from "./subscription.js";
import { furnish } from "./world.js";

/** @typedef {import("./codec/frames.js").Frame} Frame */
/** @typedef {import("./codec/shapes.js").Person} Person */
/** @typedef {{[name: string]: string}} Params */
/** @typedef {"connecting" | "open" | "waiting" | "offline" | "paused" | "stopped"} Status */
/**
 * @typedef {object} OwnOptions
 * @property {Params | (() => Params)} [params]  into the URL's query; a function is asked at every connect
 * @property {import("./line.js").AuthToken} [authToken]  says who it is in the cookie's place; a function, asked at every
 *   connect, may take its time. Without one, or with none from the function, the cookie does
 * @property {number} [timeout]   ms on the wire without an answer after which a command is given up; default 30,000
 * @property {number} [outbox]    how many commands may wait in a room; default 100
 * @property {number} [maxBytes]  of a frame, the site's MAX_BYTES; default 65,536
 */
/** @typedef {OwnOptions & import("./world.js").Replacements} Options */

const NORMAL_CLOSURE = 1000;
/** Nobody was in a room for so long that the server let go of the line. */
const UNJOINED = 4004;
const FIRST_FINAL_CODE = 4500;
const LAST_FINAL_CODE = 4999;
/** A line that stood this long was a good one: its loss starts a new count of tries. */
const STEADY_MS = 10_000;

export class Socket extends EventTarget {
  #world;
  #url;
  #params;
  #authToken;
  #page;
  #backoff;
  #roomOptions;
  /** @type {Map<string, Room>} by slug */
  #rooms = new Map();
  /** @type {Map<string, Subscription>} by topic */
  #subscriptions = new Map();
  /** @type {Line | null} */
  #line = null;
  /** @type {Status} */
  #status = "stopped";
  /** @type {boolean | null} null: nobody has said so far */
  #wanted = null;
  /** @type {Refusal | null} why the server does not want us back */
  #final = null;
  /** @type {Refusal | null} the server's last word about the whole connection */
  #refusal = null;
  #openedAt = Infinity;
  /** The server asked not to be troubled before this moment. */
  #notBefore = 0;
  /** @type {{at: number, cancel: () => void} | null} */
  #retry = null;

  /**
   * @param {string | URL} mount  "/realtime", or a whole URL
   * @param {Options} [options]
   */
  constructor(mount, { params = {}, authToken, timeout = 30_000, outbox = 100, maxBytes = 65_536, ...replacements } = {}) {
    super();
    this.#world = furnish(replacements);
    this.#url = endpoint(mount, this.#world.location?.href);
    this.#params = params;
    this.#authToken = authToken;
    this.#roomOptions = { ...this.#world, timeout, outbox, maxBytes };
    this.#backoff = new Backoff({ random: this.#world.random });
    this.#page = new Page(this.#world);
    this.#page.addEventListener("change", () => this.#pageChanged());
  }

  /**
   * "stopped" before the first join or `connect()`, after `close()`, when the server asked us to stay away, and when it closed
   * a line without a room.
   */
  get status() {
    return this.#status;
  }

  /** When the next try is due (ms since the epoch), while the status is "waiting"; else null. */
  get retryAt() {
    return this.#retry?.at ?? null;
  }

  /**
   * The room with this slug, always the same object. It is joined with `room.join()`.
   * @param {string} slug
   * @param {{since?: number, you?: Person}} [page]  what the page was rendered with: the newest seq in it, and for whom.
   *   With `you`, what was unsent before a reload is in `room.pending` at once. Counts at the first call.
   */
  room(slug, page) {
    const known = this.#rooms.get(slug);
    if (known) return known;
    const topic = `room:${slug}`;
    const subscription = new Subscription(topic, { ...this.#world, wake: () => this.#wake(), goodbye: () => this.#goodbye });
    const room = new Room(slug, subscription, this.#roomOptions, page);
    this.#subscriptions.set(topic, subscription);
    this.#rooms.set(slug, room);
    if (this.#line && this.#status === "open") subscription.opened(this.#line);
    return room;
  }

  /** Connect now, also while a wait is under way, or after the server asked us to stay away. */
  connect() {
    this.#wanted = true;
    this.#final = null;
    this.#backoff.reset();
    this.#openIfAllowed();
  }

  /** Disconnect until `connect()`. Rooms keep their place and what is unsent. */
  close() {
    this.#wanted = false;
    this.#hangUp();
    this.#become("stopped");
  }

  /** A room wants to join. The answer says why there will be no connection. */
  #wake() {
    if (this.#wanted === null) this.connect();
    return this.#final;
  }

  #openIfAllowed() {
    if (this.#line) return;
    if (this.#page.away) return this.#pause("paused");
    if (!this.#page.online) return this.#pause("offline");
    const waitMs = this.#notBefore - this.#world.clock.now();
    if (waitMs > 0) this.#wait(waitMs);
    else this.#open();
  }

  #open() {
    this.#setRetry(null);
    this.#refusal = null;
    try {
      this.#line = new Line(this.#address(), this.#lineOwner(), this.#authToken, this.#world);
    } catch (error) {
      this.#world.report(error);
      return this.#comeBack();
    }
    this.#become("connecting");
  }

  #lineOwner() {
    return {
      opened: () => this.#opened(),
      frame: (/** @type {Frame} */ frame) => this.#receive(frame),
      lost: (/** @type {number} */ code) => this.#lost(code),
    };
  }

  #address() {
    const url = new URL(this.#url);
    const params = typeof this.#params === "function" ? this.#params() : this.#params;
    for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value);
    url.searchParams.set("vsn", VERSION);
    return url.href;
  }

  #opened() {
    this.#openedAt = this.#world.clock.now();
    this.#become("open");
    for (const subscription of this.#subscriptions.values()) {
      if (this.#line) subscription.opened(this.#line);
    }
  }

  /** @param {Frame} frame */
  #receive(frame) {
    if (frame.topic !== "phoenix") this.#subscriptions.get(frame.topic)?.receive(frame);
    else if (frame.event === "refusal") this.#refused(Refusal.from(frame.payload));
  }

  /** @param {Refusal} refusal */
  #refused(refusal) {
    this.#refusal = refusal;
    if (refusal.retryAfter !== null) {
      this.#notBefore = this.#world.clock.now() + this.#world.random() * refusal.retryAfter * 1000;
    }
    this.dispatchEvent(new CustomEvent("refusal", { detail: refusal }));
  }

  /** @param {number} code */
  #lost(code) {
    this.#hangUp();
    if (code === NORMAL_CLOSURE || (code >= FIRST_FINAL_CODE && code <= LAST_FINAL_CODE)) this.#stayAway(code);
    else if (code === UNJOINED && !this.#isNeeded) this.#rest();
    else this.#comeBack();
  }

  /** Whether a room is to be joined. */
  get #isNeeded() {
    return [...this.#subscriptions.values()].some((subscription) => subscription.isWanted);
  }

  /** Until the next join, as before the first. */
  #rest() {
    this.#wanted = null;
    this.#become("stopped");
  }

  #comeBack() {
    if (!this.#page.online) return this.#pause("offline");
    if (this.#page.away || this.#page.hidden) return this.#pause("paused");
    this.#wait(Math.max(this.#backoff.next(), this.#notBefore - this.#world.clock.now()));
  }

  /** Why the server does not want us back, as it says before it ends the rooms and the connection. */
  get #goodbye() {
    return this.#refusal?.retryAfter === null ? this.#refusal : null;
  }

  /** @param {number} code */
  #stayAway(code) {
    this.#final = this.#goodbye ?? new Refusal("stopped", `The server closed the connection for good (${code}).`);
    this.#wanted = false;
    this.#become("stopped");
    for (const subscription of this.#subscriptions.values()) subscription.end(this.#final);
  }

  #pageChanged() {
    if (!this.#wanted) return;
    const { away, online, hidden } = this.#page;
    if (away || !online) {
      this.#hangUp();
      this.#pause(away ? "paused" : "offline");
    } else if (hidden) {
      if (!this.#line) this.#pause("paused");
    } else if (this.#line) {
      this.#line.probe();
    } else {
      this.#openIfAllowed();
    }
  }

  /** @param {number} ms */
  #wait(ms) {
    this.#setRetry(ms);
    this.#become("waiting");
  }

  /** @param {"paused" | "offline"} status */
  #pause(status) {
    this.#setRetry(null);
    this.#become(status);
  }

  #hangUp() {
    const { clock } = this.#world;
    if (clock.now() - this.#openedAt >= STEADY_MS) this.#backoff.reset();
    this.#openedAt = Infinity;
    this.#setRetry(null);
    this.#line?.drop();
    this.#line = null;
    for (const subscription of this.#subscriptions.values()) subscription.closed();
  }

  /** @param {number | null} ms */
  #setRetry(ms) {
    this.#retry?.cancel();
    this.#retry = null;
    if (ms === null) return;
    const { clock } = this.#world;
    this.#retry = { at: clock.now() + ms, cancel: clock.after(ms, () => this.#openIfAllowed()) };
  }

  /** @param {Status} status */
  #become(status) {
    if (status === this.#status && status !== "waiting") return;
    this.#status = status;
    this.dispatchEvent(new CustomEvent("status", { detail: { status, retryAt: this.retryAt } }));
  }
}

/**
 * @param {string | URL} mount
 * @param {string} [base]
 */
function endpoint(mount, base) {
  const url = new URL(`${String(mount).replace(/\/+$/, "")}/websocket`, base);
  url.protocol = url.protocol.replace(/^http/, "ws");
  return url;
}
