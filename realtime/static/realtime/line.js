/**
 * One WebSocket, from the attempt to its end. Numbers the frames, matches replies to what they answer, keeps the heartbeat.
 *
 * An auth token that is still being fetched is a part of the attempt, and of the time that it may take.
 * Tells its owner `opened` once, `lost` at most once, and nothing more after either `lost` or `drop()`.
 */

import { decode, encode, readReply } from "./codec/frames.js";
import { subprotocols } from "./codec/token.js";
import { Heartbeat } from "./heartbeat.js";

/** @typedef {import("./clock.js").Clock} Clock */
/** @typedef {import("./codec/frames.js").Frame} Frame */
/** @typedef {import("./codec/frames.js").Payload} Payload */
/** @typedef {import("./codec/frames.js").Reply} Reply */
/** @typedef {{opened: () => void, frame: (frame: Frame) => void, lost: (code: number) => void}} Owner */
/** @typedef {string | null | undefined} Token */
/** @typedef {Token | (() => Token | Promise<Token>)} AuthToken */

const OPEN = 1;
const HANDSHAKE_MS = 15_000;
/** What a connection that ended without a close frame reports (RFC 6455, 7.1.5). */
const ABNORMAL = 1006;

export class Line {
  #clock;
  #owner;
  #report;
  /** @type {WebSocket | null} null until there is a token, and when it is over */
  #webSocket = null;
  #over = false;
  #heartbeat;
  #lastRef = 0;
  /** @type {Map<string, (reply: Reply) => void>} */
  #replies = new Map();
  #cancelHandshake;

  /**
   * @param {string} url
   * @param {Owner} owner
   * @param {AuthToken} authToken  what is thrown for want of one, or by the browser for a wrong address, is thrown here
   * @param {object} world
   * @param {import("./world.js").WebSocketClass} world.WebSocket
   * @param {Clock} world.clock
   * @param {() => number} world.random
   * @param {(error: unknown) => void} world.report
   */
  constructor(url, owner, authToken, { WebSocket, clock, random, report }) {
    this.#clock = clock;
    this.#owner = owner;
    this.#report = report;
    this.#heartbeat = new Heartbeat({
      clock,
      random,
      beat: () => this.tell({ joinRef: null, topic: "phoenix", event: "heartbeat", payload: {} }),
      dead: () => this.#lose(ABNORMAL),
    });
    const open = (/** @type {Token} */ token) => this.#open(new WebSocket(url, subprotocols(token)));
    const token = typeof authToken === "function" ? authToken() : authToken;
    if (token && typeof token === "object") this.#openWith(token, open);
    else open(token);
    this.#cancelHandshake = clock.after(HANDSHAKE_MS, () => this.#lose(ABNORMAL));
  }

  /** A ref that this line has not used. */
  nextRef() {
    this.#lastRef += 1;
    return String(this.#lastRef);
  }

  /**
   * Send a frame and hear its reply. What cannot be sent is as lost as what was on the way when the line broke.
   * @param {Frame & {ref: string}} frame
   * @param {(reply: Reply) => void} onReply
   */
  ask(frame, onReply) {
    this.#replies.set(frame.ref, onReply);
    this.#send(frame);
  }

  /** Send a frame whose reply is of no interest. @param {Omit<Frame, "ref">} frame */
  tell(frame) {
    this.#send({ ...frame, ref: this.nextRef() });
  }

  /** Ask whether the other end still lives, without waiting for the next heartbeat. */
  probe() {
    if (this.#webSocket?.readyState === OPEN) this.#heartbeat.probe();
  }

  /** End it from this side. */
  drop() {
    if (this.#over) return;
    this.#over = true;
    this.#heartbeat.stop();
    this.#cancelHandshake();
    this.#replies.clear();
    const webSocket = this.#webSocket;
    if (!webSocket) return;
    this.#webSocket = null;
    webSocket.onopen = webSocket.onmessage = webSocket.onclose = null;
    webSocket.close(1000);
  }

  /**
   * @param {Promise<Token>} coming
   * @param {(token: Token) => void} open
   */
  async #openWith(coming, open) {
    try {
      const token = await coming;
      if (!this.#over) open(token);
    } catch (error) {
      if (this.#over) return;
      this.#report(error);
      this.#lose(ABNORMAL);
    }
  }

  /** @param {WebSocket} webSocket */
  #open(webSocket) {
    this.#webSocket = webSocket;
    webSocket.onopen = () => this.#opened();
    webSocket.onmessage = ({ data }) => this.#receive(data);
    webSocket.onclose = ({ code }) => this.#lose(code);
  }

  #opened() {
    this.#cancelHandshake();
    this.#heartbeat.start();
    this.#owner.opened();
  }

  /** @param {number} code */
  #lose(code) {
    if (this.#over) return;
    this.drop();
    this.#owner.lost(code);
  }

  /** @param {Frame} frame */
  #send(frame) {
    if (this.#webSocket?.readyState === OPEN) this.#webSocket.send(encode(frame));
  }

  /** @param {unknown} text */
  #receive(text) {
    this.#heartbeat.heard();
    const frame = decode(text);
    if (frame?.event === "phx_reply") this.#answer(frame);
    else if (frame) this.#owner.frame(frame);
  }

  /** @param {Frame} frame */
  #answer({ ref, payload }) {
    const onReply = this.#replies.get(ref ?? "");
    if (!onReply) return;
    this.#replies.delete(ref ?? "");
    onReply(readReply(payload));
  }
}
