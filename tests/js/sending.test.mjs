/** Commands: what `send` promises, across losses, refusals, reloads and changes of person. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { collect, event, FakeStorage, frame, outcome, seqs, settle, World } from "./support/world.mjs";

const ALICE = { id: "user:7", name: "alice" };
const BOB = { id: "user:9", name: "bob" };

async function joined(options = {}) {
  const world = new World(options);
  world.keepAlive();
  const { socket, room } = await world.joined({ response: { seq: 10 }, ...options });
  return { world, socket, room };
}

async function rejoin(world, response = { seq: 10 }) {
  world.peer.close(1006);
  await world.clock.advance(30_000);
  world.peer.accept();
  world.peer.welcome(response);
  await settle();
}

const say = (room, text, key) => outcome(room.send("message", { text }, { key }));
const sent = (peer) => peer.all("message").map(([, , , , { text, key }]) => [text, key]);
const limited = { code: "rate_limited", message: "Slower.", retry_after: 2 };

test("a command goes out with a key and comes back with its seq", async () => {
  const { world, room } = await joined();
  const sending = room.send("message", { text: "hello" });
  const command = world.peer.last("message");
  assert.match(command[4].key, /^[0-9a-f]{32}$/);
  assert.equal(command[0], world.peer.last("phx_join")[0]);
  assert.deepEqual(room.pending.map(({ name, data }) => [name, data]), [["message", { text: "hello" }]]);
  world.peer.ok(command, { seq: 11 });
  assert.deepEqual(await sending, { seq: 11 });
  assert.deepEqual(room.pending, []);
});

test("every command has a key of its own, or the caller's", async () => {
  const { world, room } = await joined();
  say(room, "a");
  say(room, "b");
  say(room, "c", "mine");
  const keys = sent(world.peer).map(([, key]) => key);
  assert.equal(new Set(keys).size, 3);
  assert.equal(keys[2], "mine");
});

test("data is taken as it is at the moment of sending", async () => {
  const { world, room } = await joined();
  world.peer.close(1006);
  const data = { text: "before" };
  const sending = outcome(room.send("message", data));
  data.text = "after";
  await world.clock.advance(1000);
  world.peer.accept();
  world.peer.welcome({ seq: 10 });
  assert.equal(world.peer.last("message")[4].text, "before");
  assert.equal(sending.state, "pending");
});

test("a mistake of the page is told at once", async () => {
  const { room } = await joined();
  await assert.rejects(room.send("message", {}, { key: "" }), RangeError);
  await assert.rejects(room.send("message", {}, { key: "ü" }), RangeError);
  await assert.rejects(room.send("message", {}, { key: "k".repeat(65) }), RangeError);
  await assert.rejects(room.send("message", /** @type {any} */ ([])), TypeError);
  await assert.rejects(room.send("message", /** @type {any} */ (() => 0)), TypeError);
  await assert.rejects(room.send("message", { n: 1n }), TypeError);
  assert.deepEqual(room.pending, []);
});

test("what no frame can hold is refused here, counted in bytes", async () => {
  const { world, room } = await joined();
  await assert.rejects(room.send("message", { text: "ü".repeat(33_000) }), { code: "too_large" });
  assert.equal(world.peer.all("message").length, 0);
  say(room, "x".repeat(60_000));
  assert.equal(world.peer.all("message").length, 1);
});

test("a final refusal rejects its own command and no other", async () => {
  const { world, room } = await joined();
  const [bad, good] = [say(room, ""), say(room, "fine")];
  const [first, second] = world.peer.all("message");
  world.peer.refuse(first, { code: "invalid", message: "Expected 1 to 4000 characters." });
  world.peer.ok(second, { seq: 11 });
  await settle();
  assert.deepEqual([bad.value.code, bad.value.retryAfter], ["invalid", null]);
  assert.deepEqual(good.value, { seq: 11 });
});

test("commands wait for the first join", async () => {
  const world = new World();
  const room = world.socket().room("lobby");
  say(room, "early");
  assert.equal(world.peers.length, 0);
  room.join();
  world.peer.accept();
  assert.equal(world.peer.all("message").length, 0);
  world.peer.welcome();
  assert.deepEqual(sent(world.peer).map(([text]) => text), ["early"]);
});

test("what was not acknowledged goes out again after a reconnect: same keys, same order, after the rejoin", async () => {
  const { world, room } = await joined();
  const acknowledged = say(room, "a", "ka");
  const lost = say(room, "b", "kb");
  world.peer.ok(world.peer.all("message")[0], { seq: 11 });
  world.peer.close(1006);
  const offline = say(room, "c", "kc");
  await world.clock.advance(30_000);
  world.peer.accept();
  assert.deepEqual(sent(world.peer), []);
  world.peer.welcome({ seq: 10 });
  assert.deepEqual(sent(world.peer), [["b", "kb"], ["c", "kc"]]);
  for (const command of world.peer.all("message")) world.peer.ok(command, { seq: 12 });
  await settle();
  assert.deepEqual([acknowledged.state, lost.state, offline.state], ["fulfilled", "fulfilled", "fulfilled"]);
});

test("an event with one's own key acknowledges, when the reply was lost", async () => {
  const { world, room } = await joined();
  const sending = say(room, "a", "ka");
  const seen = seqs(room);
  await rejoin(world, { seq: 11, events: [event(11, { by: ALICE, key: "ka" })] });
  assert.deepEqual(sending.value, { seq: 11 });
  assert.deepEqual(sent(world.peer), [], "and nothing is sent again");
  assert.deepEqual(seen, [11]);
});

test("an event that comes before its reply acknowledges, and the reply changes nothing", async () => {
  const { world, room } = await joined();
  const sending = say(room, "a", "ka");
  world.peer.say(frame(11, { by: ALICE, key: "ka" }));
  world.peer.refuse(world.peer.last("message"), { code: "failed", message: "Too late." });
  await settle();
  assert.deepEqual(sending.value, { seq: 11 });
});

test("somebody else's event with the same key acknowledges nothing", async () => {
  const { world, room } = await joined();
  const sending = say(room, "a", "ka");
  world.peer.say(frame(11, { by: BOB, key: "ka" }));
  world.peer.say(frame(12, { by: null, key: "ka" }));
  await settle();
  assert.equal(sending.state, "pending");
});

test("after a lost place everything unacknowledged goes out under the new join", async () => {
  const { world, room } = await joined();
  const [one, two] = [say(room, "a", "ka"), say(room, "b", "kb")];
  const [first, second] = world.peer.all("message");
  world.peer.say(frame(13));
  say(room, "c", "kc");
  assert.equal(world.peer.all("message").length, 2, "nothing between the joins");
  world.peer.welcome({ seq: 13, events: [event(11), event(12), event(13)] });
  assert.deepEqual(sent(world.peer).slice(2), [["a", "ka"], ["b", "kb"], ["c", "kc"]]);
  world.peer.ok(first, { seq: 14 });
  world.peer.refuse(second, limited);
  await settle();
  assert.deepEqual(one.value, { seq: 14 }, "what an earlier copy achieved counts");
  assert.equal(two.state, "pending", "what it was refused does not");
  await world.clock.advance(5_000);
  assert.equal(sent(world.peer).length, 5, "the copy on the wire is the only one");
});

test("a server that has forgotten the subscription is joined again, and the command is not lost", async () => {
  const { world, room } = await joined();
  const sending = say(room, "a", "ka");
  world.peer.refuse(world.peer.last("message"), { code: "unmatched_topic", message: "Not joined." });
  assert.equal(room.status, "waiting");
  await world.clock.advance(1000);
  world.peer.welcome({ seq: 10 });
  world.peer.ok(world.peer.last("message"), { seq: 11 });
  await settle();
  assert.deepEqual(sending.value, { seq: 11 });
});

test("a crashed subscription gets its commands again", async () => {
  const { world, room } = await joined();
  say(room, "a", "ka");
  world.peer.say([null, null, "room:lobby", "phx_error", {}]);
  await world.clock.advance(1000);
  world.peer.welcome({ seq: 10 });
  assert.deepEqual(sent(world.peer), [["a", "ka"], ["a", "ka"]]);
});

test("a refusal for now is tried again after its time, with the same key and everything behind it", async () => {
  const { world, room } = await joined();
  const sending = say(room, "a", "ka");
  say(room, "b", "kb");
  const [first, second] = world.peer.all("message");
  world.peer.refuse(first, limited);
  world.peer.refuse(second, limited);
  say(room, "c", "kc");
  await world.clock.advance(2249);
  assert.equal(world.peer.all("message").length, 2, "what comes later stays behind");
  await world.clock.advance(1);
  assert.deepEqual(sent(world.peer).slice(2), [["a", "ka"], ["b", "kb"], ["c", "kc"]]);
  world.peer.ok(world.peer.all("message")[2], { seq: 11 });
  await settle();
  assert.deepEqual(sending.value, { seq: 11 });
});

test("of several refusals the one that asks for the longest wait is obeyed", async () => {
  const { world, room } = await joined();
  for (const text of ["a", "b", "c"]) say(room, text);
  for (const [n, seconds] of [1, 10, 2].entries()) {
    world.peer.refuse(world.peer.all("message")[n], { ...limited, retry_after: seconds });
  }
  await world.clock.advance(10_249);
  assert.equal(world.peer.all("message").length, 3);
  await world.clock.advance(1);
  assert.equal(world.peer.all("message").length, 6);
});

test("refused again and again, the last refusal is the answer", async () => {
  const { world, room } = await joined();
  const sending = say(room, "a", "ka");
  for (let n = 1; n <= 5; n += 1) {
    world.peer.refuse(world.peer.last("message"), limited);
    await world.clock.advance(20_000);
    assert.equal(world.peer.all("message").length, n + 1);
  }
  world.peer.refuse(world.peer.last("message"), limited);
  await settle();
  assert.equal(sending.value.code, "rate_limited");
  assert.equal(sending.value.retryAfter, 2);
  assert.deepEqual(room.pending, []);
});

for (const code of ["unavailable", "overloaded", "going_away"]) {
  test(`what the server cannot take for now is sent again for as long as it takes: ${code}`, async () => {
    const storage = new FakeStorage();
    const { world, room } = await joined({ storage });
    const sending = say(room, "a", "ka");
    const delays = collect(room, "delayed");
    for (let n = 1; n <= 40; n += 1) {
      world.peer.refuse(world.peer.last("message"), { code, message: "Not now.", retry_after: 1 });
      assert.equal(storage.length, 1, "and is kept in the tab");
      await world.clock.advance(31_000);
      assert.equal(world.peer.all("message").length, n + 1, "at most half a minute apart");
    }
    assert.deepEqual([delays.length, delays[0].key, delays[0].refusal.code], [40, "ka", code]);
    world.peer.ok(world.peer.last("message"), { seq: 11 });
    await settle();
    assert.deepEqual([sending.value, storage.length], [{ seq: 11 }, 0]);
  });
}

test("what the server could not take does not count where it asks for patience afterwards", async () => {
  const { world, room } = await joined();
  const sending = say(room, "a", "ka");
  for (let n = 0; n < 9; n += 1) {
    world.peer.refuse(world.peer.last("message"), { code: "unavailable", message: "Not now.", retry_after: 1 });
    await world.clock.advance(31_000);
  }
  world.peer.refuse(world.peer.last("message"), limited);
  await settle();
  assert.equal(sending.state, "pending");
});

test("a question to the room is not asked for ever", async () => {
  const { world, room } = await joined();
  const asking = outcome(room.history());
  for (let n = 0; n < 6; n += 1) {
    world.peer.refuse(world.peer.last("room_history"), { code: "unavailable", message: "Not now.", retry_after: 1 });
    await world.clock.advance(31_000);
  }
  assert.equal(asking.value.code, "unavailable");
});

test("what waits can be discarded, and what is behind it goes out", async () => {
  const storage = new FakeStorage();
  const { world, room } = await joined({ storage });
  const sending = say(room, "a", "ka");
  world.peer.refuse(world.peer.last("message"), { code: "unavailable", message: "Not now.", retry_after: 1 });
  say(room, "b", "kb");
  room.discard("ka");
  room.discard("never heard of");
  await world.clock.advance(31_000);
  assert.deepEqual([sending.value.code, sent(world.peer)], ["discarded", [["a", "ka"], ["b", "kb"]]]);
  assert.deepEqual(room.pending.map(({ key }) => key), ["kb"]);
  assert.equal(storage.length, 1);
});

test("a reconnect does not cut short the time that a refusal asked for", async () => {
  const { world, room } = await joined();
  say(room, "a");
  world.peer.refuse(world.peer.last("message"), { ...limited, retry_after: 60 });
  await rejoin(world);
  assert.equal(world.peer.all("message").length, 0);
  await world.clock.advance(31_000);
  assert.equal(world.peer.all("message").length, 1);
});

test("only so many are on the wire at once, and fewer after a refusal", async () => {
  const { world, room } = await joined();
  for (let n = 0; n < 40; n += 1) say(room, `${n}`);
  assert.equal(world.peer.all("message").length, 16);
  world.peer.ok(world.peer.all("message")[0], { seq: 11 });
  assert.equal(world.peer.all("message").length, 17);
  for (const command of world.peer.all("message").slice(1)) world.peer.refuse(command, limited);
  await world.clock.advance(3000);
  assert.equal(world.peer.all("message").length, 17 + 8);
  assert.deepEqual(sent(world.peer).slice(17).map(([text]) => text), ["1", "2", "3", "4", "5", "6", "7", "8"]);
});

test("however many are on the wire, one timer watches them", async () => {
  const { world, room } = await joined();
  say(room, "first");
  const { timers } = world.clock;
  for (let n = 0; n < 10; n += 1) say(room, `${n}`);
  assert.equal(world.clock.timers, timers);
});

test("a rate limit is found and kept to, and everything arrives in order", async () => {
  const { world, room } = await joined();
  const sending = Array.from({ length: 60 }, (_, n) => say(room, `${n}`));
  let answered = 0;
  let seq = 10;
  for (let second = 0; second < 100 && seq < 70; second += 1) {
    let tokens = 2;
    for (; answered < world.peer.all("message").length; answered += 1) {
      const command = world.peer.all("message")[answered];
      if (tokens-- > 0) world.peer.ok(command, { seq: (seq += 1) });
      else world.peer.refuse(command, { ...limited, retry_after: 1 });
    }
    await world.clock.advance(1000);
  }
  await settle();
  assert.deepEqual(sending.map(({ value }) => value?.seq), Array.from({ length: 60 }, (_, n) => n + 11));
});

test("the outbox is bounded", async () => {
  const { world, room } = await joined({ options: { outbox: 3 } });
  world.peer.close(1006);
  const waiting = [say(room, "a"), say(room, "b"), say(room, "c")];
  await assert.rejects(room.send("message", { text: "d" }), (refusal) => refusal.code === "outbox_full" && refusal.retryAfter > 0);
  await rejoin(world);
  assert.deepEqual(sent(world.peer).map(([text]) => text), ["a", "b", "c"]);
  world.peer.ok(world.peer.last("message"), { seq: 11 });
  await settle();
  assert.equal(waiting[2].state, "fulfilled");
  say(room, "e");
  assert.equal(room.pending.length, 3);
});

test("the bound is a hundred unless said otherwise", async () => {
  const room = new World().socket().room("lobby");
  for (let n = 0; n < 100; n += 1) say(room, `${n}`);
  await assert.rejects(room.send("message", { text: "more" }), { code: "outbox_full" });
});

test("without an answer a command is given up after 30 s", async () => {
  const { world, room } = await joined();
  const sending = say(room, "a");
  await world.clock.advance(29_999);
  assert.equal(sending.state, "pending");
  await world.clock.advance(1);
  assert.equal(sending.value.code, "timeout");
  assert.deepEqual(room.pending, []);
  world.peer.ok(world.peer.last("message"), { seq: 11 });
});

test("each command has its own 30 s", async () => {
  const { world, room } = await joined();
  const first = say(room, "a");
  await world.clock.advance(10_000);
  const second = say(room, "b");
  await world.clock.advance(20_000);
  assert.deepEqual([first.state, second.state], ["rejected", "pending"]);
  await world.clock.advance(10_000);
  assert.equal(second.state, "rejected");
});

test("time without a connection does not count towards the timeout", async () => {
  const { world, room } = await joined();
  const sending = say(room, "a");
  await world.clock.advance(20_000);
  world.happen("offline");
  await world.clock.advance(3_600_000);
  world.happen("online");
  world.peer.accept();
  world.peer.welcome({ seq: 10 });
  await world.clock.advance(9_999);
  assert.equal(sending.state, "pending");
  await world.clock.advance(1);
  assert.equal(sending.value.code, "timeout");
});

test("what is sent again has at least 5 s for its answer", async () => {
  const { world, room } = await joined();
  const sending = say(room, "a");
  await world.clock.advance(29_000);
  world.happen("offline");
  world.happen("online");
  world.peer.accept();
  world.peer.welcome({ seq: 10 });
  await world.clock.advance(4_999);
  assert.equal(sending.state, "pending");
  await world.clock.advance(1);
  assert.equal(sending.value.code, "timeout");
});

test("a machine that slept does not give up what it had just sent", async () => {
  const { world, room } = await joined();
  const sending = say(room, "a", "ka");
  world.onConnect = () => {};
  world.peer.onFrame = undefined;
  await world.clock.sleep(3_600_000);
  assert.equal(sending.state, "pending");
  await world.clock.advance(12_000);
  world.peer.accept();
  world.peer.welcome({ seq: 10 });
  assert.deepEqual(sent(world.peer), [["a", "ka"]]);
});

test("a timeout of one's own can be given", async () => {
  const { world, room } = await joined({ options: { timeout: 1000 } });
  const sending = say(room, "a");
  await world.clock.advance(1000);
  assert.equal(sending.value.code, "timeout");
});

test("a key that waits already is the same command", async () => {
  const { world, room } = await joined();
  const [first, again] = [say(room, "a", "ka"), say(room, "a", "ka")];
  assert.equal(world.peer.all("message").length, 1);
  world.peer.ok(world.peer.last("message"), { seq: 11 });
  await settle();
  assert.deepEqual([first.value, again.value], [{ seq: 11 }, { seq: 11 }]);
});

test("what is unsent survives a reload of the tab, in order, under the same keys", async () => {
  const storage = new FakeStorage();
  const { world } = await joined({ storage, page: { you: ALICE } });
  const before = world.socket().room("lobby", { you: ALICE });
  for (const text of ["a", "b", "c"]) say(before, text, `k${text}`);

  const reloaded = new World({ storage });
  const room = reloaded.socket().room("lobby", { since: 10, you: ALICE });
  assert.deepEqual(room.pending.map(({ key, name, data }) => [key, name, data.text]), [
    ["ka", "message", "a"],
    ["kb", "message", "b"],
    ["kc", "message", "c"],
  ]);
  assert.equal(room.pending[0].at, new Date(world.clock.now()).toISOString());
  room.join();
  reloaded.peer.accept();
  reloaded.peer.welcome({ seq: 10 });
  say(room, "d", "kd");
  assert.deepEqual(sent(reloaded.peer), [["a", "ka"], ["b", "kb"], ["c", "kc"], ["d", "kd"]]);
  const adopted = say(room, "b", "kb");
  for (const command of reloaded.peer.all("message")) reloaded.peer.ok(command, { seq: 11 });
  await settle();
  assert.deepEqual(adopted.value, { seq: 11 }, "a page can take up what it finds pending");
  assert.equal(storage.length, 0);
});

test("a page that does not say for whom it is finds the pending ones at the join, before newer ones", async () => {
  const storage = new FakeStorage();
  const { room: before } = await joined({ storage });
  say(before, "old", "k1");
  const reloaded = new World({ storage });
  const room = reloaded.socket().room("lobby", { since: 10 });
  say(room, "new", "k2");
  assert.deepEqual(room.pending.map(({ key }) => key), ["k2"]);
  room.join();
  reloaded.peer.accept();
  reloaded.peer.welcome({ seq: 10 });
  assert.deepEqual(sent(reloaded.peer), [["old", "k1"], ["new", "k2"]]);
  const again = new World({ storage }).socket().room("lobby", { you: ALICE });
  assert.deepEqual(again.pending.map(({ key }) => key), ["k1", "k2"], "and it is kept in that order");
});

test("an acknowledgement, a refusal and a timeout all empty the storage", async () => {
  const { world, room } = await joined();
  for (const text of ["a", "b", "c"]) say(room, text);
  assert.equal(world.storage.length, 3);
  const [first, second] = world.peer.all("message");
  world.peer.ok(first, { seq: 11 });
  world.peer.refuse(second, { code: "invalid", message: "No." });
  await world.clock.advance(30_000);
  assert.equal(world.storage.length, 0);
});

test("rooms and people do not see each other's pending commands", async () => {
  const storage = new FakeStorage();
  const { world, room } = await joined({ storage });
  say(room, "a", "ka");
  const socket = world.socket();
  assert.deepEqual(socket.room("lobby", { you: BOB }).pending, []);
  assert.deepEqual(socket.room("lobby:", { you: ALICE }).pending, []);
  assert.deepEqual(socket.room("visits", { you: ALICE }).pending, []);
});

test("what one person wrote never goes out in the name of another", async () => {
  const { world, room } = await joined();
  const alices = say(room, "a", "ka");
  await rejoin(world, { seq: 10, you: BOB });
  assert.equal(alices.value.code, "person_changed");
  assert.deepEqual(sent(world.peer), []);
  const bobs = say(room, "b", "kb");
  await rejoin(world, { seq: 10, you: ALICE });
  assert.equal(bobs.value.code, "person_changed");
  assert.deepEqual(sent(world.peer), [["a", "ka"]], "it waits in the tab for its own");
});

test("what stood in the tab for more than a day is forgotten", async () => {
  const storage = new FakeStorage();
  const { room } = await joined({ storage });
  say(room, "a");
  const later = new World({ storage });
  later.clock.time += 24 * 3_600_000;
  assert.deepEqual(later.socket().room("lobby", { you: ALICE }).pending, []);
  assert.equal(storage.length, 0);
});

test("a storage full of nonsense is survived", async () => {
  const storage = new FakeStorage();
  const { room } = await joined({ storage });
  say(room, "a", "ka");
  const [prefix] = [...storage.items.keys()].map((name) => name.slice(0, -2));
  for (const [n, text] of ["{", "7", "null", "{}", '{"n":1}', '{"n":1,"name":2,"data":{},"at":"x"}'].entries()) {
    storage.setItem(`${prefix}bad${n}`, text);
  }
  storage.setItem("realtime:outbox", "somebody else's");
  const reloaded = new World({ storage }).socket().room("lobby", { you: ALICE });
  assert.deepEqual(reloaded.pending.map(({ key }) => key), ["ka"]);
  assert.equal(storage.length, 2);
});

test("a storage that refuses costs the survival, not the sending", async () => {
  const storage = new Proxy({}, { get: () => { throw new Error("forbidden"); } });
  const { world, room } = await joined({ storage });
  const sending = say(room, "a");
  world.peer.ok(world.peer.last("message"), { seq: 11 });
  await settle();
  assert.equal(sending.state, "fulfilled");
});

test("the end of the room is the answer to everything that waits", async () => {
  const { world, room } = await joined();
  const sending = say(room, "a");
  const asking = outcome(room.history());
  world.peer.say([null, null, "room:lobby", "room_ended", { code: "room_closed", message: "Closed." }]);
  await settle();
  assert.deepEqual([sending.value.code, asking.value.code], ["room_closed", "room_closed"]);
  assert.equal(world.storage.length, 0);
});

test("who only has to log in again finds what was unsent", async () => {
  const { world, room } = await joined();
  const sending = say(room, "a", "ka");
  world.peer.say([null, null, "room:lobby", "room_ended", { code: "login_required", message: "Log in." }]);
  await settle();
  assert.equal(sending.value.code, "login_required");
  assert.deepEqual(room.pending, []);
  room.join();
  world.peer.welcome({ seq: 10 });
  assert.deepEqual(sent(world.peer), [["a", "ka"], ["a", "ka"]]);
});

test("leaving waits for the answers that are on the way, and gives up the rest", async () => {
  const { world, room } = await joined();
  const answered = say(room, "a");
  const silent = say(room, "b");
  const leaving = room.leave();
  const [first] = world.peer.all("message");
  const late = say(room, "c");
  world.peer.ok(first, { seq: 11 });
  world.peer.ok(world.peer.last("phx_leave"));
  await leaving;
  await settle();
  assert.deepEqual(answered.value, { seq: 11 });
  assert.deepEqual([silent.value.code, late.value.code], ["left", "left"]);
  assert.equal(world.peer.all("message").length, 2);
});

test("a page put away and taken back sends what it had", async () => {
  const { world, room } = await joined();
  say(room, "a", "ka");
  world.happen("pagehide");
  say(room, "b", "kb");
  world.happen("pageshow");
  world.peer.accept();
  world.peer.welcome({ seq: 10 });
  assert.deepEqual(sent(world.peer), [["a", "ka"], ["b", "kb"]]);
});

test("a handler that leaves the room at once stops the sending", async () => {
  const world = new World();
  const room = world.socket().room("lobby");
  const sending = say(room, "a");
  collect(room, "joined");
  room.addEventListener("joined", () => room.leave());
  outcome(room.join());
  world.peer.accept();
  world.peer.welcome();
  world.peer.ok(world.peer.last("phx_leave"));
  await settle();
  assert.equal(world.peer.all("message").length, 0);
  assert.equal(sending.value.code, "left");
});
