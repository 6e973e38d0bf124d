import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { settle, World } from "./support/world.mjs";

const vectors = JSON.parse(readFileSync(new URL("../vectors/tokens.json", import.meta.url), "utf8"));
const [{ token, subprotocol }] = vectors;

/** A promise that a test keeps or breaks when it wants. */
function promised() {
  const hands = {};
  const promise = new Promise((resolve, reject) => Object.assign(hands, { resolve, reject }));
  return { promise, ...hands };
}

for (const vector of vectors) {
  test(`the token ${vector.token.slice(0, 10)} is offered as Phoenix offers it, and is not in the address`, () => {
    const world = new World();
    world.socket({ authToken: vector.token }).connect();
    assert.deepEqual(world.peer.subprotocols, ["phoenix", vector.subprotocol]);
    assert.equal(world.peer.url.href, "wss://example.com/realtime/websocket?vsn=2.0.0");
  });
}

for (const [what, authToken] of [
  ["no token", undefined],
  ["null", null],
  ["an empty one", ""],
  ["a function without one", () => null],
]) {
  test(`with ${what} nothing is offered`, () => {
    const world = new World();
    world.socket({ authToken }).connect();
    assert.deepEqual(world.peer.subprotocols, []);
  });
}

test("a function is asked for a fresh token at every connect", async () => {
  const world = new World();
  const fresh = vectors.map((vector) => vector.token);
  const { room } = await world.joined({ options: { authToken: () => fresh.shift() } });
  world.peer.close(1006);
  await world.clock.advance(250);
  assert.deepEqual(world.peers.map((peer) => peer.subprotocols[1]), vectors.map((vector) => vector.subprotocol));
  world.peer.accept();
  world.peer.welcome();
  await settle();
  assert.equal(room.status, "joined");
});

test("it may take its time, and the rooms join once it is there", async () => {
  const world = new World();
  const coming = promised();
  const socket = world.socket({ authToken: async () => coming.promise });
  const room = socket.room("lobby");
  room.join();
  await settle();
  assert.deepEqual([socket.status, world.peers.length], ["connecting", 0]);
  coming.resolve(token);
  await settle();
  assert.deepEqual(world.peer.subprotocols, ["phoenix", subprotocol]);
  world.peer.accept();
  world.peer.welcome();
  await settle();
  assert.equal(room.status, "joined");
});

test("where it cannot be had, the page is told and it is tried again", async () => {
  const failure = new Error("not now");
  for (const authToken of [async () => Promise.reject(failure), () => { throw failure; }]) {
    const world = new World();
    let asked = 0;
    const socket = world.socket({ authToken: () => (asked++ ? token : authToken()) });
    socket.connect();
    await settle();
    assert.deepEqual([socket.status, world.peers.length, world.reported], ["waiting", 0, [failure]]);
    await world.clock.advance(socket.retryAt - world.clock.now());
    assert.deepEqual(world.peer.subprotocols, ["phoenix", subprotocol]);
  }
});

test("a token that no header can hold is the page's mistake, and tried again", async () => {
  for (const authToken of ["\u2603", async () => "\u2603"]) {
    const world = new World();
    const socket = world.socket({ authToken });
    socket.connect();
    await settle();
    assert.deepEqual([socket.status, world.peers.length, world.reported.length], ["waiting", 0, 1]);
  }
});

test("one that does not come is given up, and opens nothing when it comes after all", async () => {
  const world = new World();
  const coming = [promised(), promised()];
  let asked = 0;
  const socket = world.socket({ authToken: () => coming[asked++].promise });
  socket.connect();
  await world.clock.advance(15_000);
  assert.equal(socket.status, "waiting");
  await world.clock.advance(250);
  assert.equal(asked, 2);
  coming[0].resolve("rt_ticket_late");
  coming[1].resolve(token);
  await settle();
  assert.deepEqual(world.peers.map((peer) => peer.subprotocols), [["phoenix", subprotocol]]);
});

test("closed meanwhile, it opens nothing and complains of nothing", async () => {
  for (const end of ["resolve", "reject"]) {
    const world = new World();
    const coming = promised();
    const socket = world.socket({ authToken: () => coming.promise });
    socket.connect();
    socket.close();
    coming[end](end === "resolve" ? token : new Error("aborted"));
    await settle();
    assert.deepEqual([socket.status, world.peers.length, world.reported], ["stopped", 0, []]);
    assert.equal(world.clock.timers, 0);
  }
});

test("a page that goes away while it is fetched comes back with another", async () => {
  const world = new World();
  const coming = [promised(), promised()];
  let asked = 0;
  const socket = world.socket({ authToken: () => coming[asked++].promise });
  socket.connect();
  world.happen("offline");
  assert.equal(socket.status, "offline");
  world.happen("online");
  coming[0].resolve("rt_ticket_old");
  coming[1].resolve(token);
  await settle();
  assert.deepEqual(world.peers.map((peer) => peer.subprotocols), [["phoenix", subprotocol]]);
});
