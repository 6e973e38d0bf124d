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

test("who is muted knows until when, and when it is over", async () => {
  const world = new World();
  const { room } = await world.joined({ response: { seq: 10, can: [], muted: { until: "2026-11-21T14:05:00.000Z" } } });
  assert.deepEqual(room.muted, { until: "2026-11-21T14:05:00.000Z" });
  const seen = collect(room, "can");
  world.peer.say(["1", null, "room:lobby", "room_can", { can: ["act"] }]);
  assert.deepEqual([seen, room.can, room.muted], [[["act"]], ["act"], null]);
  world.peer.say(["1", null, "room:lobby", "room_can", { can: [], muted: { until: null } }]);
  assert.deepEqual([room.can, room.muted], [[], { until: null }]);
});

test("nobody is muted by nonsense", async () => {
  for (const muted of [undefined, null, true, "yes", []]) {
    const { room } = await new World().joined({ response: { muted } });
    assert.equal(room.muted, null);
  }
  const { room } = await new World().joined({ response: { muted: { until: 7 } } });
  assert.deepEqual(room.muted, { until: null });
});

test("a ban ends the room and says until when", async () => {
  const { world, room } = await joined();
  const banned = { code: "banned", message: "Out.", until: "2026-11-21T14:05:00.000Z" };
  world.peer.say(["1", null, "room:lobby", "room_ended", banned]);
  assert.deepEqual([room.status, room.refusal.code, room.refusal.until], ["ended", "banned", banned.until]);
  assert.equal(room.refusal.retryAfter, null);
});

test("a command that would have to wait for long is given back at once", async () => {
  const { world, room } = await joined();
  const sending = room.send("message", { text: "hi" });
  world.peer.refuse(world.peer.last("message"), { code: "muted", message: "No.", retry_after: 61, until: null });
  await assert.rejects(sending, { code: "muted", retryAfter: 61 });
  assert.deepEqual(room.pending, []);
});

test("what a moderator asks for is answered with nothing, or refused", async () => {
  const { world, room } = await joined();
  const asked = { kick: room.kick("user:9"), ban: room.ban("user:9"), mute: room.mute("user:9") };
  for (const name of Object.keys(asked)) world.peer.ok(world.peer.last(`room_${name}`), {});
  for (const asking of Object.values(asked)) assert.equal(await asking, undefined);
  const lifting = room.unban("user:9");
  world.peer.refuse(world.peer.last("room_unban"), { code: "unknown_person", message: "Nobody." });
  await assert.rejects(lifting, { code: "unknown_person" });
});
