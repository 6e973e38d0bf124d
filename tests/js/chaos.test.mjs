/**
 * Any mixture of losses, repetitions, disorder and reloads: at the end each event was delivered once and in order, and each
 * command happened once. The random numbers come from a seed, so a failure can be run again.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { event, settle, welcome, World } from "./support/world.mjs";

const ALICE = { id: "user:7", name: "alice" };

/** A small, good generator (mulberry32). */
function generator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The server's side of one room: a log, keys, and a network that misbehaves. */
class UnreliableRoom {
  log = [];
  #byKey = new Map();
  #random;
  calm = false;

  constructor(random) {
    this.#random = random;
  }

  /** True with this probability, until calm. */
  chance(probability) {
    return !this.calm && this.#random() < probability;
  }

  serve(peer) {
    peer.onFrame = (sent) => queueMicrotask(() => peer.open && this.#receive(peer, sent));
    peer.open = true;
    peer.accept();
  }

  append(by, key, text) {
    this.log.push(event(this.log.length + 1, { by, key, data: { text } }));
    return this.log.length;
  }

  /** Tell an event: perhaps not at all, perhaps twice. */
  tell(peer, seq) {
    if (this.chance(0.1)) return;
    const one = this.log[seq - 1];
    peer.say([null, null, "room:lobby", one.name, one]);
    if (this.chance(0.1)) this.tell(peer, 1 + Math.floor(this.#random() * this.log.length));
  }

  #receive(peer, sent) {
    const [, , , name, payload] = sent;
    if (this.chance(0.05)) return this.#drop(peer);
    if (name === "heartbeat" || name === "phx_leave") return peer.ok(sent);
    if (name === "phx_join") return this.#join(peer, sent, payload.since ?? this.log.length);
    if (this.chance(0.1)) return peer.refuse(sent, { code: "overloaded", message: "Later.", retry_after: 0.2 });
    this.#command(peer, sent, payload);
  }

  #join(peer, sent, since) {
    if (this.chance(0.1)) return peer.refuse(sent, { code: "unavailable", message: "Later.", retry_after: 0.2 });
    const page = this.log.slice(since, since + 3);
    const seq = this.log.length;
    const more = since + page.length < seq;
    peer.joined = true;
    peer.ok(sent, welcome({ seq, events: page, more, you: ALICE }));
    for (let next = since + page.length + 1; next <= seq; next += 1) this.tell(peer, next);
  }

  #command(peer, sent, { text, key }) {
    const known = this.#byKey.get(key);
    const seq = known ?? this.append(ALICE, key, text);
    this.#byKey.set(key, seq);
    const eventFirst = this.chance(0.5);
    if (eventFirst && !known) this.tell(peer, seq);
    if (!this.chance(0.1)) peer.ok(sent, { seq });
    if (!eventFirst && !known) this.tell(peer, seq);
  }

  #drop(peer) {
    if (!peer.open) return;
    peer.open = false;
    queueMicrotask(() => peer.close(1006));
  }

  drop(peer) {
    this.#drop(peer);
  }
}

async function story(seed) {
  const random = generator(seed);
  const server = new UnreliableRoom(random);
  const delivered = [];
  const texts = [];
  const results = [];
  let world;
  let room;

  const visit = (since, storage) => {
    world = new World({ storage });
    world.chance = 0.3;
    world.onConnect = (peer) => queueMicrotask(() => server.serve(peer));
    room = world.socket().room("lobby", { since, you: ALICE });
    room.on("message", ({ seq }) => delivered.push(seq));
    room.addEventListener("gap", () => assert.fail("nothing is ever gone from this log"));
    room.join();
  };

  visit(0);
  for (let step = 0; step < 120; step += 1) {
    const what = random();
    if (what < 0.4) {
      texts.push(`${seed}/${texts.length}`);
      const sending = room.send("message", { text: texts.at(-1) });
      results.push(sending.then(({ seq }) => seq).catch(({ code }) => code));
    } else if (what < 0.6) {
      const seq = server.append({ id: "user:9", name: "bob" }, null, "");
      if (world.peer?.joined && world.peer.open) server.tell(world.peer, seq);
    } else if (what < 0.68) {
      if (world.peer) server.drop(world.peer);
    } else if (what < 0.71) {
      world.happen(random() < 0.5 ? "offline" : "pagehide");
      await world.clock.advance(5000);
      world.happen("online");
      world.happen("pageshow");
    } else if (what < 0.73) {
      const { storage } = world;
      world.happen("pagehide");
      visit(room.seq, storage);
    } else {
      await world.clock.advance(random() * 1500);
    }
    await settle();
  }

  server.calm = true;
  for (let n = 0; n < 10; n += 1) await world.clock.advance(10_000);
  server.append(null, null, "the end");
  server.tell(world.peer, server.log.length);
  await world.clock.advance(60_000);

  assert.deepEqual(delivered, server.log.map(({ seq }) => seq), "each event once, in order");
  const written = server.log.filter(({ by }) => by?.id === ALICE.id).map(({ data }) => data.text);
  assert.equal(new Set(written).size, written.length, "no command happened twice");
  assert.deepEqual(new Set(written), new Set(texts), "no command was lost");
  assert.deepEqual(room.pending, []);
  assert.equal(world.storage.length, 0);
  assert.deepEqual(world.reported, []);
}

for (let seed = 1; seed <= 40; seed += 1) {
  test(`whatever happens in story ${seed}, each event is delivered once and each command happens once`, () => story(seed));
}
