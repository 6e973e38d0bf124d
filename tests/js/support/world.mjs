/**
 * A browser and a server made by hand: a clock that moves when told, a random that says what it is told, a storage, a
 * document and window, and WebSockets whose other end is a `Peer`. Nothing here sleeps.
 */

import { Socket } from "../../../realtime/static/realtime/socket.js";

/** Let everything that is already decided happen: one turn of the event loop, no time. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

export class FakeClock {
  time = Date.parse("2026-11-21T10:00:00Z");
  #timers = new Map();
  #last = 0;

  now = () => this.time;
  setTimeout = (callback, ms) => {
    this.#last += 1;
    this.#timers.set(this.#last, { at: this.time + ms, callback });
    return this.#last;
  };
  clearTimeout = (id) => void this.#timers.delete(id);

  get timers() {
    return this.#timers.size;
  }

  /** Move on, running what falls due, in order, each at its own moment. */
  async advance(ms) {
    const end = this.time + ms;
    for (let next; (next = this.#next(end)); ) {
      this.#timers.delete(next.id);
      this.time = Math.max(this.time, next.at);
      next.callback();
      await settle();
    }
    this.time = end;
  }

  /** The machine sleeps: time goes on, and afterwards everything overdue runs late. */
  async sleep(ms) {
    this.time += ms;
    await this.advance(0);
  }

  #next(end) {
    const due = [...this.#timers].map(([id, timer]) => ({ id, ...timer })).filter(({ at }) => at <= end);
    return due.sort((a, b) => a.at - b.at || a.id - b.id)[0];
  }
}

/** The server's end of one WebSocket. `frames` is everything that the client sent on it. */
export class Peer {
  frames = [];
  closedWith = null;
  #webSocket;

  constructor(webSocket) {
    this.#webSocket = webSocket;
  }

  get url() {
    return new URL(this.#webSocket.url);
  }

  /** What the client offers in the handshake. */
  get subprotocols() {
    return this.#webSocket.subprotocols;
  }

  accept() {
    this.#webSocket.readyState = 1;
    this.#webSocket.onopen?.({});
  }

  say(frame) {
    this.sayText(JSON.stringify(frame));
  }

  sayText(data) {
    this.#webSocket.onmessage?.({ data });
  }

  close(code) {
    this.#webSocket.readyState = 3;
    this.#webSocket.onclose?.({ code });
  }

  ok([joinRef, ref, topic], response = {}) {
    this.say([joinRef, ref, topic, "phx_reply", { status: "ok", response }]);
  }

  refuse([joinRef, ref, topic], response) {
    this.say([joinRef, ref, topic, "phx_reply", { status: "error", response }]);
  }

  /** What the client sent under this name, oldest first. */
  all(event) {
    return this.frames.filter((frame) => frame[3] === event);
  }

  last(event) {
    return this.all(event).at(-1);
  }

  /** Answer the newest join. */
  welcome(response = {}) {
    this.ok(this.last("phx_join"), welcome(response));
  }
}

export function welcome(response = {}) {
  const you = { id: "user:7", name: "alice" };
  const room = { title: "Lobby", kind: "chat" };
  return { seq: 0, tail: 0, events: [], more: false, complete: true, state: {}, you, can: ["act"], room, ...response };
}

export function event(seq, { name = "message", by = { id: "user:9", name: "bob" }, key = null, data = {} } = {}) {
  return { seq, name, at: "2026-11-21T10:15:30.123Z", by, key, data };
}

/** An event as a frame of the room. */
export function frame(seq, more) {
  const payload = event(seq, more);
  return [null, null, "room:lobby", payload.name, payload];
}

export class FakeStorage {
  items = new Map();

  get length() {
    return this.items.size;
  }
  key(index) {
    return [...this.items.keys()][index] ?? null;
  }
  getItem(name) {
    return this.items.get(name) ?? null;
  }
  setItem(name, text) {
    this.items.set(name, text);
  }
  removeItem(name) {
    this.items.delete(name);
  }
}

class FakeDocument extends EventTarget {
  visibilityState = "visible";
}

export class World {
  clock = new FakeClock();
  peers = [];
  document = new FakeDocument();
  window = new EventTarget();
  chance = 0.5;
  reported = [];
  onConnect = () => {};

  constructor({ storage = new FakeStorage() } = {}) {
    this.storage = storage;
  }

  /** The newest connection's other end. */
  get peer() {
    return this.peers.at(-1);
  }

  socket({ mount = "/realtime", ...options } = {}) {
    const world = this;
    class WebSocket {
      readyState = 0;
      constructor(url, subprotocols) {
        this.url = url;
        this.subprotocols = subprotocols;
        this.peer = new Peer(this);
        world.peers.push(this.peer);
        world.onConnect(this.peer);
      }
      send(text) {
        const sent = JSON.parse(text);
        this.peer.frames.push(sent);
        this.peer.onFrame?.(sent);
      }
      close(code) {
        this.readyState = 3;
        this.peer.closedWith = code;
      }
    }
    const { setTimeout, clearTimeout, now } = this.clock;
    const { document, window, storage } = this;
    return new Socket(mount, {
      ...{ WebSocket, setTimeout, clearTimeout, now, document, window, storage },
      random: () => this.chance,
      location: { href: "https://example.com/rooms/lobby/" },
      report: (error) => this.reported.push(error),
      ...options,
    });
  }

  /** A room that is joined. */
  async joined({ page, response, options } = {}) {
    const socket = this.socket(options);
    const room = socket.room("lobby", page);
    const joining = room.join();
    this.peer.accept();
    this.peer.welcome(response);
    await joining;
    return { socket, room };
  }

  /** From here on the server answers heartbeats by itself. */
  keepAlive() {
    const answer = (peer) => (peer.onFrame = (sent) => sent[3] === "heartbeat" && peer.ok(sent));
    this.peers.forEach(answer);
    this.onConnect = answer;
  }

  hide() {
    this.document.visibilityState = "hidden";
    this.document.dispatchEvent(new Event("visibilitychange"));
  }

  show() {
    this.document.visibilityState = "visible";
    this.document.dispatchEvent(new Event("visibilitychange"));
  }

  happen(type) {
    this.window.dispatchEvent(new Event(type));
  }
}

/** Note what a promise came to, without waiting for it. */
export function outcome(promise) {
  const seen = { state: "pending", value: undefined };
  promise.then(
    (value) => Object.assign(seen, { state: "fulfilled", value }),
    (value) => Object.assign(seen, { state: "rejected", value }),
  );
  return seen;
}

/** Collect the details of an EventTarget's events. */
export function collect(target, type) {
  const details = [];
  target.addEventListener(type, ({ detail }) => details.push(detail));
  return details;
}

/** Collect the seqs that a room's handlers get. */
export function seqs(room) {
  const seen = [];
  room.on("*", ({ seq }) => seen.push(seq));
  return seen;
}
