import assert from "node:assert/strict";
import { test } from "node:test";
import { collect, outcome, settle, World } from "./support/world.mjs";

/** A socket with an open connection and one joined room. */
async function open(options) {
  const world = new World();
  const { socket, room } = await world.joined({ options });
  return { world, socket, room };
}

const statuses = (socket) => {
  const details = collect(socket, "status");
  return () => details.map(({ status }) => status);
};

test("nothing is opened before somebody wants it", () => {
  const world = new World();
  const socket = world.socket();
  socket.room("lobby");
  assert.equal(world.peers.length, 0);
  assert.equal(socket.status, "stopped");
});

test("the address is made of the mount, the parameters and the version", () => {
  const world = new World();
  let visits = 0;
  const socket = world.socket({ params: () => ({ visit: String((visits += 1)), vsn: "9" }) });
  socket.connect();
  assert.equal(world.peer.url.href, "wss://example.com/realtime/websocket?visit=1&vsn=2.0.0");
  world.peer.close(1006);
  socket.connect();
  assert.equal(world.peer.url.searchParams.get("visit"), "2", "asked at every connect");
});

test("a mount may be a whole address", () => {
  const world = new World();
  for (const [mount, address] of [
    ["http://other.example/rt/", "ws://other.example/rt/websocket?vsn=2.0.0"],
    ["wss://other.example/rt", "wss://other.example/rt/websocket?vsn=2.0.0"],
  ]) {
    world.socket({ mount }).connect();
    assert.equal(world.peer.url.href, address);
  }
});

test("the same slug is the same room", () => {
  const socket = new World().socket();
  assert.equal(socket.room("lobby"), socket.room("lobby"));
  assert.notEqual(socket.room("lobby"), socket.room("visits"));
});

test("several rooms share one connection", async () => {
  const world = new World();
  const socket = world.socket();
  const [one, two] = [socket.room("lobby"), socket.room("visits")];
  one.join();
  two.join();
  world.peer.accept();
  const late = socket.room("late");
  late.join();
  assert.deepEqual(world.peer.all("phx_join").map(([, , topic]) => topic), ["room:lobby", "room:visits", "room:late"]);
  assert.equal(world.peers.length, 1);
});

test("it reports what it does", async () => {
  const world = new World();
  const socket = world.socket();
  const seen = statuses(socket);
  socket.connect();
  world.peer.accept();
  world.peer.close(1006);
  assert.equal(socket.retryAt, world.clock.now() + 250);
  await world.clock.advance(250);
  assert.equal(socket.retryAt, null);
  world.peer.accept();
  socket.close();
  assert.deepEqual(seen(), ["connecting", "open", "waiting", "connecting", "open", "stopped"]);
});

test("waits grow while nobody answers, and start anew after a good connection", async () => {
  const world = new World();
  world.chance = 1;
  const socket = world.socket();
  socket.connect();
  const waits = [];
  for (let n = 0; n < 8; n += 1) {
    world.peer.close(1006);
    waits.push(socket.retryAt - world.clock.now());
    await world.clock.advance(waits.at(-1));
  }
  assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  world.peer.accept();
  await world.clock.advance(10_000);
  world.peer.close(1006);
  assert.equal(socket.retryAt - world.clock.now(), 500);
});

test("a server that accepts and drops at once does not reset the waits", async () => {
  const world = new World();
  world.chance = 1;
  const socket = world.socket();
  socket.connect();
  for (const wait of [500, 1000, 2000]) {
    world.peer.accept();
    world.peer.close(4002);
    assert.equal(socket.retryAt - world.clock.now(), wait);
    await world.clock.advance(wait);
  }
});

test("an attempt that hangs is given up", async () => {
  const world = new World();
  const socket = world.socket();
  socket.connect();
  await world.clock.advance(15_000);
  assert.equal(socket.status, "waiting");
  assert.equal(world.peer.closedWith, 1000);
});

for (const code of [1001, 1005, 1006, 1011, 1012, 1013, 3000, 4000, 4001, 4002, 4499]) {
  test(`close code ${code} means come back`, async () => {
    const { world, socket } = await open();
    world.peer.close(code);
    assert.equal(socket.status, "waiting");
  });
}

for (const code of [1000, 4500, 4999]) {
  test(`close code ${code} means stay away`, async () => {
    const { world, socket, room } = await open();
    const ended = collect(room, "ended");
    world.peer.close(code);
    assert.equal(socket.status, "stopped");
    assert.equal(room.status, "ended");
    assert.equal(ended[0].code, "stopped");
    assert.equal(world.clock.timers, 0);
    world.hide();
    world.show();
    world.happen("online");
    assert.equal(world.peers.length, 1, "nothing brings it back");
    assert.equal(outcome(room.join()) && room.status, "ended", "nor does a join");
    socket.connect();
    room.join();
    world.peer.accept();
    assert.equal(world.peers.length, 2, "only connect() does");
    assert.equal(world.peer.all("phx_join").length, 1);
  });
}

const UNJOINED = 4004;

test("closed for want of a room, it stays closed until one is to be joined", async () => {
  const { world, socket, room } = await open();
  const leaving = room.leave();
  world.peer.ok(world.peer.last("phx_leave"));
  await leaving;
  world.peer.close(UNJOINED);
  assert.equal(socket.status, "stopped");
  assert.equal(world.clock.timers, 0);
  world.hide();
  world.show();
  world.happen("online");
  assert.equal(world.peers.length, 1, "nothing brings it back");
  const joining = outcome(room.join());
  assert.equal(world.peers.length, 2, "but a join");
  world.peer.accept();
  world.peer.welcome();
  await settle();
  assert.equal(joining.state, "fulfilled");
});

test("a room that has ended does not bring it back either, and connect() does", async () => {
  const { world, socket } = await open();
  world.peer.say([world.peer.last("phx_join")[1], null, "room:lobby", "room_ended", { code: "banned", message: "No." }]);
  world.peer.close(UNJOINED);
  assert.equal(socket.status, "stopped");
  socket.connect();
  assert.equal(world.peers.length, 2);
});

test("closed for want of a room while one waits to be let in, it comes back", async () => {
  const world = new World();
  const socket = world.socket();
  socket.room("lobby").join();
  world.peer.accept();
  world.peer.refuse(world.peer.last("phx_join"), { code: "unavailable", message: "Not now.", retry_after: 90 });
  world.peer.close(UNJOINED);
  assert.equal(socket.status, "waiting");
});

test("the server's last words say why it stopped", async () => {
  const { world, room } = await open();
  world.peer.say([null, null, "phoenix", "refusal", { code: "malformed", message: "Expected a frame." }]);
  world.peer.close(4500);
  assert.equal(room.refusal.code, "malformed");
});

test("a window for coming back is used in full, whatever else happens", async () => {
  const { world, socket } = await open();
  const refusals = collect(socket, "refusal");
  world.chance = 0.8;
  world.peer.say([null, null, "phoenix", "refusal", { code: "unavailable", message: "Restart.", retry_after: 10 }]);
  assert.equal(refusals[0].retryAfter, 10);
  world.peer.close(4000);
  assert.equal(socket.retryAt - world.clock.now(), 8000);
  world.hide();
  assert.equal(socket.status, "paused");
  world.show();
  assert.equal(socket.status, "waiting");
  assert.equal(socket.retryAt - world.clock.now(), 8000);
  await world.clock.advance(8000);
  assert.equal(world.peers.length, 2);
});

test("a heartbeat goes out about every 25 s, and any frame is a sign of life", async () => {
  const { world, socket } = await open();
  await world.clock.advance(25_000);
  assert.deepEqual(world.peer.last("heartbeat"), [null, "2", "phoenix", "heartbeat", {}]);
  world.peer.say([null, null, "room:elsewhere", "message", {}]);
  await world.clock.advance(25_000);
  assert.equal(world.peer.all("heartbeat").length, 2);
  world.peer.ok(world.peer.last("heartbeat"));
  await world.clock.advance(24_000);
  assert.equal(socket.status, "open");
});

for (const [chance, due] of [[0, 22_500], [1, 27_500]]) {
  test(`a heartbeat is due after ${due} ms when the random number is ${chance}`, async () => {
    const { world } = await open();
    world.peer.frames.length = 0;
    world.peer.close(1006);
    world.chance = chance;
    await world.clock.advance(1000);
    world.peer.accept();
    await world.clock.advance(due - 1);
    assert.equal(world.peer.all("heartbeat").length, 0);
    await world.clock.advance(1);
    assert.equal(world.peer.all("heartbeat").length, 1);
  });
}

test("a silent connection is dropped 10 s after the heartbeat", async () => {
  const { world, socket, room } = await open();
  await world.clock.advance(34_999);
  assert.equal(socket.status, "open");
  await world.clock.advance(1);
  assert.equal(socket.status, "waiting");
  assert.equal(room.status, "waiting");
  assert.equal(world.peer.closedWith, 1000);
});

test("after the machine slept the connection is tried and replaced", async () => {
  const { world, socket } = await open();
  await world.clock.sleep(3_600_000);
  assert.equal(world.peer.all("heartbeat").length, 1);
  await world.clock.advance(10_000);
  assert.equal(socket.status, "waiting");
});

test("what a replaced connection still says is not heard", async () => {
  const { world, socket, room } = await open();
  const old = world.peer;
  const heard = collect(room, "cleared");
  socket.close();
  socket.connect();
  old.say([null, null, "room:lobby", "room_cleared", { seq: 1 }]);
  old.close(4500);
  assert.deepEqual(heard, []);
  assert.equal(socket.status, "connecting");
});

test("a hidden page keeps its connection but does not make a new one", async () => {
  const { world, socket } = await open();
  world.hide();
  assert.equal(socket.status, "open");
  world.peer.close(1006);
  assert.equal(socket.status, "paused");
  assert.equal(world.clock.timers, 0);
  world.show();
  assert.equal(socket.status, "connecting");
  assert.equal(world.peers.length, 2);
});

test("hiding the page stops a wait, showing it connects at once", async () => {
  const { world, socket } = await open();
  world.chance = 1;
  world.peer.close(1006);
  assert.equal(socket.status, "waiting");
  world.hide();
  assert.equal(socket.status, "paused");
  assert.equal(socket.retryAt, null);
  await world.clock.advance(60_000);
  assert.equal(world.peers.length, 1);
  world.show();
  assert.equal(world.peers.length, 2);
});

test("a page that opens hidden connects the first time", () => {
  const world = new World();
  world.document.visibilityState = "hidden";
  world.socket().connect();
  assert.equal(world.peers.length, 1);
});

test("a page that is seen again asks its connection whether it lives", async () => {
  const { world, socket } = await open();
  world.hide();
  world.show();
  assert.equal(world.peer.all("heartbeat").length, 1);
  await world.clock.advance(10_000);
  assert.equal(socket.status, "waiting");
});

test("without a network nothing is tried, with it everything at once", async () => {
  const { world, socket, room } = await open();
  world.happen("offline");
  assert.equal(socket.status, "offline");
  assert.equal(room.status, "waiting");
  assert.equal(world.clock.timers, 0);
  world.hide();
  world.show();
  assert.equal(socket.status, "offline");
  socket.connect();
  assert.equal(world.peers.length, 1);
  world.happen("online");
  assert.equal(socket.status, "connecting");
});

test("a network that comes back to a hidden page waits for the page", async () => {
  const { world, socket } = await open();
  world.happen("offline");
  world.hide();
  world.happen("online");
  assert.equal(socket.status, "paused");
  world.show();
  assert.equal(socket.status, "connecting");
});

test("pagehide closes, so that the page can be kept, and pageshow brings it back", async () => {
  const { world, socket, room } = await open();
  world.happen("pagehide");
  assert.equal(world.peer.closedWith, 1000);
  assert.deepEqual([socket.status, room.status], ["paused", "waiting"]);
  assert.equal(world.clock.timers, 0);
  world.happen("pageshow");
  assert.equal(socket.status, "connecting");
  world.peer.accept();
  assert.equal(room.status, "joining");
});

test("the first pageshow of a page means nothing", async () => {
  const { world } = await open();
  world.happen("pageshow");
  assert.equal(world.peers.length, 1);
  assert.equal(world.peer.all("heartbeat").length, 0);
});

test("close stays closed, and connect resumes the rooms", async () => {
  const { world, socket, room } = await open();
  socket.close();
  world.hide();
  world.show();
  world.happen("online");
  const joining = outcome(room.join());
  await settle();
  assert.equal(world.peers.length, 1);
  socket.connect();
  world.peer.accept();
  world.peer.welcome();
  await settle();
  assert.equal(joining.state, "fulfilled");
  socket.connect();
  assert.equal(world.peers.length, 2, "connecting twice is connecting once");
});

test("a WebSocket that cannot be made is reported and tried again", async () => {
  const world = new World();
  class WebSocket {
    constructor() {
      throw new Error("forbidden");
    }
  }
  const socket = world.socket({ WebSocket });
  socket.connect();
  assert.equal(socket.status, "waiting");
  assert.equal(world.reported.length, 1);
});

test("strange frames are survived", async () => {
  const { world, socket, room } = await open();
  for (const text of ["", "{", "null", "[]", '["1",null,"room:lobby","message",7]', new ArrayBuffer(3)]) world.peer.sayText(text);
  for (const topic of ["__proto__", "room:nowhere", "phoenix"]) world.peer.say([null, null, topic, "__proto__", {}]);
  world.peer.say([null, "99", "room:lobby", "phx_reply", {}]);
  world.peer.say([null, null, "room:lobby", "phx_reply", {}]);
  assert.deepEqual([socket.status, room.status], ["open", "joined"]);
});

test("without a document, a window and a storage it works, too", async () => {
  const world = new World();
  const { room } = await world.joined({ options: { document: null, window: null, storage: null } });
  assert.equal(room.status, "joined");
});

test("what the server says of the whole connection is why its rooms end, though it closes each of them first", async () => {
  const { world, socket, room } = await open();
  const ended = collect(room, "ended");
  const [joinRef] = world.peer.last("phx_join");
  world.peer.say([null, null, "phoenix", "refusal", { code: "access_ended", message: "Log in again." }]);
  world.peer.say([joinRef, joinRef, "room:lobby", "phx_close", {}]);
  world.peer.close(4501);
  assert.deepEqual(ended.map(({ code }) => code), ["access_ended"]);
  const late = await socket.room("late").join().catch((refusal) => refusal);
  assert.equal(late.code, "access_ended");
});
