import assert from "node:assert/strict";
import { test } from "node:test";
import { readEvent } from "../../realtime/static/realtime/codec/shapes.js";
import { collect, event, frame, World } from "./support/world.mjs";

async function joined() {
  const world = new World();
  const { room } = await world.joined({ response: { seq: 10 } });
  return { world, room };
}

const removal = (seq, target) => frame(seq, { name: "room_removed", data: { seq: target } });

test("a removal is told at its place, then handed to the handlers like any event", async () => {
  const { world, room } = await joined();
  const story = [];
  room.addEventListener("removed", ({ detail }) => story.push(`removed ${detail.seq}`));
  room.on("*", ({ seq, name }) => story.push(`${seq} ${name}`));
  world.peer.say(frame(11));
  world.peer.say(removal(12, 11));
  world.peer.say(removal(12, 11));
  world.peer.say(frame(13));
  assert.deepEqual(story, ["11 message", "removed 11", "12 room_removed", "13 message"]);
  assert.equal(room.seq, 13);
});

test("what was removed while one was away is told on coming back", async () => {
  const world = new World();
  const room = world.socket().room("lobby", { since: 10 });
  const seen = collect(room, "removed");
  room.join();
  world.peer.accept();
  world.peer.welcome({ seq: 11, events: [event(11, { name: "room_removed", data: { seq: 9 } })] });
  assert.deepEqual(seen, [{ seq: 9 }]);
});

test("a removal of nothing is an event and no more", async () => {
  const { world, room } = await joined();
  const seen = collect(room, "removed");
  world.peer.say(frame(11, { name: "room_removed", data: { seq: "9" } }));
  assert.deepEqual([seen, room.seq], [[], 11]);
});

test("an event without its data says so, and no other does", () => {
  assert.equal(readEvent("message", { seq: 1, removed: true }).removed, true);
  for (const removed of [undefined, null, 1, "true", {}]) {
    assert.equal("removed" in readEvent("message", { seq: 1, removed }), false);
  }
});

test("a removal is asked for, and answered", async () => {
  const { world, room } = await joined();
  const removing = room.remove(9);
  assert.deepEqual(world.peer.last("room_remove").slice(2), ["room:lobby", "room_remove", { seq: 9 }]);
  world.peer.ok(world.peer.last("room_remove"), { seq: 11 });
  assert.deepEqual(await removing, { seq: 11 });
});

test("a removal without an answer is asked for again after a reconnect", async () => {
  const { world, room } = await joined();
  const removing = room.remove(9);
  world.peer.close(1006);
  await world.clock.advance(30_000);
  world.peer.accept();
  world.peer.welcome({ seq: 10 });
  world.peer.ok(world.peer.last("room_remove"), { seq: 11 });
  assert.deepEqual(await removing, { seq: 11 });
});

test("a removal that is refused says why", async () => {
  const { world, room } = await joined();
  const removing = room.remove(9);
  world.peer.refuse(world.peer.last("room_remove"), { code: "forbidden", message: "No." });
  await assert.rejects(removing, { code: "forbidden" });
});

test("a room that has ended is asked for nothing", async () => {
  const { world, room } = await joined();
  world.peer.say(["1", null, "room:lobby", "room_ended", { code: "kicked", message: "Out." }]);
  for (const ask of [() => room.remove(9), () => room.history()]) await assert.rejects(ask, { code: "kicked" });
});
