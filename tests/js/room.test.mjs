import assert from "node:assert/strict";
import { test } from "node:test";
import { Refusal } from "../../realtime/static/realtime/refusal.js";
import { collect, event, frame, outcome, seqs, settle, welcome, World } from "./support/world.mjs";

/** A room that is joined at seq 10. */
async function joined(response = { seq: 10 }, page) {
  const world = new World();
  const { socket, room } = await world.joined({ response, page });
  return { world, socket, room };
}

/** The connection breaks and a new one is accepted. */
async function reconnect(world) {
  world.peer.close(1006);
  await world.clock.advance(30_000);
  world.peer.accept();
}

test("a join tells who we are and what we may", async () => {
  const world = new World();
  const socket = world.socket();
  const room = socket.room("lobby");
  assert.deepEqual([room.status, room.seq, room.you, room.can, room.state], ["idle", null, null, [], {}]);
  const joining = room.join();
  assert.equal(room.join(), joining, "asked twice, joined once");
  assert.equal(room.status, "waiting");
  world.peer.accept();
  assert.equal(room.status, "joining");
  world.peer.welcome({ seq: 12, state: { value: 7 } });
  const reply = await joining;
  assert.deepEqual(reply, { ...welcome({ seq: 12, state: { value: 7 } }), muted: null, slow: null });
  assert.deepEqual([room.slug, room.status, room.seq, room.stateSeq, room.state], ["lobby", "joined", 12, 12, { value: 7 }]);
  assert.deepEqual([room.you, room.can], [{ id: "user:7", name: "alice" }, ["act"]]);
  assert.equal(await room.join(), reply);
});

test("status changes are told in order", async () => {
  const world = new World();
  const room = world.socket().room("lobby");
  const seen = collect(room, "status");
  room.join();
  world.peer.accept();
  world.peer.welcome();
  world.peer.close(1006);
  assert.deepEqual(seen, ["waiting", "joining", "joined", "waiting"]);
});

test("a page's seq is where the join begins", async () => {
  const { world } = await joined({ seq: 41 }, { since: 41 });
  assert.deepEqual(world.peer.last("phx_join")[4], { since: 41 });
});

test("a page that has nothing joins without since, also when since is nonsense", async () => {
  for (const since of [undefined, null, NaN, -1, "41"]) {
    const { world } = await joined({ seq: 41 }, { since });
    assert.deepEqual(world.peer.last("phx_join")[4], {});
  }
});

test("the welcome's events reach the handlers after joined is fired", async () => {
  const world = new World();
  const room = world.socket().room("lobby", { since: 3 });
  const story = [];
  room.addEventListener("joined", ({ detail }) => story.push(`joined ${detail.seq} as ${room.status}`));
  room.on("message", ({ seq, data }) => story.push(`${seq} ${data.text}`));
  room.join();
  world.peer.accept();
  const events = [event(4, { data: { text: "a" } }), event(5, { data: { text: "b" } })];
  world.peer.welcome({ seq: 5, events });
  assert.deepEqual(story, ["joined 5 as joined", "4 a", "5 b"]);
});

test("events are delivered by name, to all, and no more after off", async () => {
  const { world, room } = await joined();
  const heard = [];
  const off = room.on("message", ({ seq }) => heard.push(`message ${seq}`));
  room.on("announcement", ({ seq }) => heard.push(`announcement ${seq}`));
  room.on("*", ({ name }) => heard.push(`* ${name}`));
  world.peer.say(frame(11));
  off();
  world.peer.say(frame(12));
  world.peer.say(frame(13, { name: "announcement" }));
  assert.deepEqual(heard, ["message 11", "* message", "* message", "announcement 13", "* announcement"]);
});

test("one function registered twice is two registrations", async () => {
  const { world, room } = await joined();
  let calls = 0;
  const count = () => (calls += 1);
  const off = room.on("message", count);
  room.on("message", count);
  off();
  off();
  world.peer.say(frame(11));
  assert.equal(calls, 1);
});

test("a handler that throws is reported and harms nobody", async () => {
  const { world, room } = await joined();
  const error = new Error("mine");
  room.on("message", () => {
    throw error;
  });
  const seen = seqs(room);
  world.peer.say(frame(11));
  world.peer.say(frame(12));
  assert.deepEqual(seen, [11, 12]);
  assert.deepEqual(world.reported, [error, error]);
});

test("an event may have any name", async () => {
  const { world, room } = await joined();
  const seen = [];
  for (const name of ["__proto__", "constructor", "*"]) room.on(name, (heard) => seen.push([name, heard.name]));
  world.peer.say(frame(11, { name: "__proto__" }));
  world.peer.say(frame(12, { name: "constructor" }));
  world.peer.say(frame(13, { name: "*" }));
  assert.deepEqual(seen.filter(([asked]) => asked !== "*"), [["__proto__", "__proto__"], ["constructor", "constructor"]]);
  assert.equal(seen.filter(([asked]) => asked === "*").length, 3);
});

test("an ephemeral event has no seq and no place in the order", async () => {
  const { world, room } = await joined();
  const seen = [];
  room.on("typing", (heard) => seen.push(heard));
  const by = { id: "user:9", name: "bob" };
  world.peer.say([null, null, "room:lobby", "typing", { name: "typing", by, data: {} }]);
  assert.deepEqual(seen, [{ name: "typing", at: null, by, key: null, data: {} }]);
  assert.equal(room.seq, 10);
});

test("names of the protocol are no events", async () => {
  const { world, room } = await joined();
  const seen = seqs(room);
  for (const name of ["room_unheard_of", "phx_unheard_of", "presence_unheard_of"]) world.peer.say(frame(11, { name }));
  assert.deepEqual(seen, []);
});

test("an event seen twice is delivered once", async () => {
  const { world, room } = await joined();
  const seen = seqs(room);
  for (const seq of [11, 11, 10, 12, 11, 12]) world.peer.say(frame(seq));
  assert.deepEqual(seen, [11, 12]);
});

test("an event beyond the next makes the room join again with since", async () => {
  const { world, room } = await joined();
  const seen = seqs(room);
  world.peer.say(frame(11));
  world.peer.say(frame(13));
  assert.equal(room.status, "joining");
  assert.deepEqual(world.peer.last("phx_join")[4], { since: 11 });
  world.peer.say(frame(14));
  world.peer.say([world.peer.all("phx_join")[0][0], null, "room:lobby", "phx_close", {}]);
  world.peer.welcome({ seq: 14, events: [event(12), event(13), event(14)] });
  world.peer.say(frame(15));
  assert.deepEqual(seen, [11, 12, 13, 14, 15]);
  assert.equal(world.peers.length, 1, "on the same connection");
});

test("a room that loses its place again and again takes its time", async () => {
  const { world, room } = await joined();
  world.chance = 1;
  world.peer.say(frame(12));
  assert.equal(world.peer.all("phx_join").length, 2, "the first time at once");
  world.peer.welcome({ seq: 10 });
  world.peer.say(frame(12));
  assert.equal(room.status, "waiting");
  await world.clock.advance(999);
  assert.equal(world.peer.all("phx_join").length, 2);
  await world.clock.advance(1);
  assert.equal(world.peer.all("phx_join").length, 3);
  world.peer.welcome({ seq: 12, events: [event(11), event(12)] });
  await world.clock.advance(10_000);
  world.peer.say(frame(14));
  assert.equal(world.peer.all("phx_join").length, 4, "at once again after a good time");
});

test("more to come arrives as ordinary events, up to and beyond the welcome's seq", async () => {
  const world = new World();
  const room = world.socket().room("lobby", { since: 0 });
  const seen = seqs(room);
  room.join();
  world.peer.accept();
  world.peer.welcome({ seq: 4, events: [event(1), event(2)], more: true });
  assert.deepEqual([room.seq, room.stateSeq], [2, 4]);
  for (const seq of [3, 4, 5]) world.peer.say(frame(seq));
  assert.deepEqual(seen, [1, 2, 3, 4, 5]);
  assert.equal(world.peer.all("phx_join").length, 1);
});

test("a connection lost amid more to come goes on from there", async () => {
  const { world, room } = await joined({ seq: 900, events: [event(1)], more: true }, { since: 0 });
  world.peer.say(frame(2));
  await reconnect(world);
  assert.deepEqual(world.peer.last("phx_join")[4], { since: 2 });
  assert.equal(room.seq, 2);
});

test("after a reconnect the room joins with the newest seq and misses nothing", async () => {
  const { world, room } = await joined();
  const seen = seqs(room);
  const welcomes = collect(room, "joined");
  world.peer.say(frame(11));
  await reconnect(world);
  assert.deepEqual(world.peer.last("phx_join")[4], { since: 11 });
  world.peer.welcome({ seq: 13, events: [event(12), event(13)] });
  assert.deepEqual(seen, [11, 12, 13]);
  assert.equal(welcomes.length, 1, "fired at every join");
});

test("a gap is told before the events that follow it", async () => {
  const { world, room } = await joined();
  const story = [];
  room.addEventListener("gap", ({ detail }) => story.push(`gap, now at ${detail.seq}`));
  room.addEventListener("joined", () => story.push("joined"));
  room.on("*", ({ seq }) => story.push(seq));
  await reconnect(world);
  world.peer.welcome({ seq: 91, events: [event(90), event(91)], complete: false });
  world.peer.say(frame(92));
  assert.deepEqual(story, ["gap, now at 91", "joined", 90, 91, 92]);
});

test("a gap with everything still to come is picked up where it goes on", async () => {
  const { world, room } = await joined();
  const seen = seqs(room);
  const gaps = collect(room, "gap");
  await reconnect(world);
  world.peer.welcome({ seq: 91, events: [], complete: false, more: true });
  for (const seq of [90, 91, 92]) world.peer.say(frame(seq));
  assert.deepEqual(seen, [90, 91, 92]);
  assert.equal(gaps.length, 1);
});

test("the first join of a page that has nothing is no gap", async () => {
  const world = new World();
  const room = world.socket().room("lobby");
  const gaps = collect(room, "gap");
  room.join();
  world.peer.accept();
  world.peer.welcome({ seq: 91 });
  assert.deepEqual(gaps, []);
});

for (const [what, response] of [
  ["that has begun anew", { seq: 3, events: [event(2), event(3)] }],
  ["with a hole before the welcome's events", { seq: 13, events: [event(12), event(13)] }],
  ["with a hole within the welcome's events", { seq: 13, events: [event(11), event(13)] }],
  ["with a hole after the welcome's events", { seq: 13, events: [event(11)] }],
]) {
  test(`a room ${what} is a gap, never a silent hole`, async () => {
    const { world, room } = await joined();
    const seen = seqs(room);
    const gaps = collect(room, "gap");
    await reconnect(world);
    world.peer.welcome(response);
    assert.equal(gaps.length, 1);
    assert.deepEqual(seen, response.events.map(({ seq }) => seq));
    assert.equal(room.seq, response.seq);
  });
}

test("frames of an earlier join are dropped", async () => {
  const { world, room } = await joined();
  const seen = seqs(room);
  const first = world.peer.last("phx_join")[0];
  world.peer.say(frame(12));
  world.peer.welcome({ seq: 12, events: [event(11), event(12)] });
  const [, , topic, name, payload] = frame(13);
  world.peer.say([first, null, topic, name, payload]);
  world.peer.say([first, first, topic, "phx_close", {}]);
  world.peer.say([first, null, topic, "room_ended", { code: "room_closed", message: "Over." }]);
  assert.deepEqual(seen, [11, 12]);
  assert.equal(room.status, "joined");
});

test("a final refusal rejects the join and ends the room", async () => {
  const world = new World();
  const room = world.socket().room("lobby");
  const ended = collect(room, "ended");
  const joining = room.join();
  world.peer.accept();
  const join = world.peer.last("phx_join");
  world.peer.refuse(join, { code: "forbidden", message: "Members only." });
  world.peer.say([join[0], join[0], "room:lobby", "phx_close", {}]);
  await assert.rejects(joining, (refusal) => {
    assert.ok(refusal instanceof Refusal);
    assert.deepEqual([refusal.code, refusal.message, refusal.retryAfter], ["forbidden", "Members only.", null]);
    return true;
  });
  assert.equal(room.status, "ended");
  assert.equal(ended.length, 1);
  assert.equal(ended[0], room.refusal);
  await reconnect(world);
  assert.equal(world.peer.all("phx_join").length, 0, "not asked again");
  await assert.rejects(room.send("message", { text: "x" }), { code: "forbidden" });
  await assert.rejects(room.history(), { code: "forbidden" });
});

test("a topic that the server does not know is final, its join_ref is null", async () => {
  const world = new World();
  const room = world.socket().room("lobby");
  const joining = outcome(room.join());
  world.peer.accept();
  const [, ref, topic] = world.peer.last("phx_join");
  world.peer.refuse([null, ref, topic], { reason: "unmatched topic" });
  await settle();
  assert.equal(joining.value.code, "unmatched topic");
});

test("a refusal for now is tried again after its time, with jitter, while join waits", async () => {
  const world = new World();
  const room = world.socket().room("lobby");
  const joining = outcome(room.join());
  world.peer.accept();
  for (const wait of [2250, 2500, 3000]) {
    world.peer.refuse(world.peer.last("phx_join"), { code: "unavailable", message: "Later.", retry_after: 2 });
    const asked = world.peer.all("phx_join").length;
    assert.equal(room.status, "waiting");
    await world.clock.advance(wait - 1);
    assert.equal(world.peer.all("phx_join").length, asked);
    await world.clock.advance(1);
    assert.equal(world.peer.all("phx_join").length, asked + 1);
  }
  assert.equal(joining.state, "pending");
  world.peer.welcome();
  await settle();
  assert.equal(joining.state, "fulfilled");
});

test("a page hears why the room does not let it in for now, and a new one for each time", async () => {
  const world = new World();
  const room = world.socket().room("lobby");
  world.keepAlive();
  const refused = [];
  room.addEventListener("refused", ({ detail }) => refused.push([detail.code, detail.retryAfter]));
  const joining = outcome(room.join());
  world.peer.accept();
  for (const times of [1, 2]) {
    world.peer.refuse(world.peer.last("phx_join"), { code: "room_full", message: "Full.", retry_after: 10 });
    assert.deepEqual(refused, Array(times).fill(["room_full", 10]));
    await world.clock.advance(9_999);
    assert.equal(world.peer.all("phx_join").length, times, "not before its time");
    await world.clock.advance(1_000);
    assert.equal(world.peer.all("phx_join").length, times + 1);
  }
  world.peer.welcome();
  await settle();
  assert.deepEqual([joining.state, room.refusal], ["fulfilled", null]);
});

test("a new connection does not cut short the time that a refusal asked for", async () => {
  const world = new World();
  const room = world.socket().room("lobby");
  world.keepAlive();
  room.join();
  world.peer.accept();
  world.peer.refuse(world.peer.last("phx_join"), { code: "overloaded", message: "Later.", retry_after: 60 });
  world.peer.close(1006);
  await world.clock.advance(1000);
  world.peer.accept();
  await world.clock.advance(59_000);
  assert.equal(world.peer.all("phx_join").length, 0);
  await world.clock.advance(250);
  assert.equal(world.peer.all("phx_join").length, 1);
});

test("a join without an answer is tried again", async () => {
  const world = new World();
  const room = world.socket().room("lobby");
  world.keepAlive();
  const joining = outcome(room.join());
  world.peer.accept();
  const first = world.peer.last("phx_join");
  await world.clock.advance(30_250);
  assert.equal(world.peer.all("phx_join").length, 2);
  world.peer.ok(first, welcome({ seq: 5 }));
  assert.equal(room.status, "joining", "the answer to the first try counts no more");
  world.peer.welcome();
  await settle();
  assert.equal(joining.state, "fulfilled");
});

test("phx_error means join again, after a wait that grows", async () => {
  const { world, room } = await joined();
  world.chance = 1;
  for (const wait of [500, 1000, 2000]) {
    const [joinRef] = world.peer.last("phx_join");
    const asked = world.peer.all("phx_join").length;
    world.peer.say([joinRef, joinRef, "room:lobby", "phx_error", {}]);
    assert.equal(room.status, "waiting");
    await world.clock.advance(wait - 1);
    assert.equal(world.peer.all("phx_join").length, asked);
    await world.clock.advance(1);
    world.peer.welcome({ seq: 10 });
    assert.equal(room.status, "joined");
  }
});

test("room_ended ends the room with its reason, once", async () => {
  const { world, room } = await joined();
  const ended = collect(room, "ended");
  const [joinRef] = world.peer.last("phx_join");
  world.peer.say([joinRef, null, "room:lobby", "room_ended", { code: "room_closed", message: "Closed." }]);
  world.peer.say([joinRef, joinRef, "room:lobby", "phx_close", {}]);
  assert.deepEqual(ended.map(({ code }) => code), ["room_closed"]);
  assert.equal(room.status, "ended");
});

test("room_ended that says when to try again is tried again", async () => {
  const { world, room } = await joined();
  const [joinRef] = world.peer.last("phx_join");
  world.peer.say([joinRef, null, "room:lobby", "room_ended", { code: "unavailable", message: "Later.", retry_after: 1 }]);
  world.peer.say([joinRef, joinRef, "room:lobby", "phx_close", {}]);
  assert.equal(room.status, "waiting");
  await world.clock.advance(1250);
  assert.equal(room.status, "joining");
});

test("phx_close alone ends the room, too", async () => {
  const { world, room } = await joined();
  const [joinRef] = world.peer.last("phx_join");
  world.peer.say([joinRef, joinRef, "room:lobby", "phx_close", {}]);
  assert.equal(room.refusal.code, "closed");
});

test("a room that ended can be joined again", async () => {
  const { world, room } = await joined();
  world.peer.say([null, null, "room:lobby", "room_ended", { code: "room_closed", message: "Closed." }]);
  assert.equal(room.presence.count, 0);
  const joining = room.join();
  assert.equal(room.refusal, null);
  assert.deepEqual(world.peer.last("phx_join")[4], { since: 10 });
  world.peer.welcome({ seq: 10 });
  await joining;
  assert.equal(room.status, "joined");
});

test("what left the log while the page was away is said at the join, once", async () => {
  const { world, room } = await joined();
  const cleared = collect(room, "cleared");
  for (const tail of [6, 6, 9]) {
    await reconnect(world);
    world.peer.welcome({ seq: 10, tail });
  }
  assert.deepEqual(cleared, [{ seq: 6 }, { seq: 9 }]);
});

test("room_cleared is passed on", async () => {
  const { world, room } = await joined();
  const cleared = collect(room, "cleared");
  world.peer.say([null, null, "room:lobby", "room_cleared", { seq: 8 }]);
  assert.deepEqual(cleared, [{ seq: 8 }]);
});

test("leave waits for the server's word, and nothing is heard after it", async () => {
  const { world, room } = await joined();
  const seen = seqs(room);
  const leaving = outcome(room.leave());
  assert.equal(room.status, "idle");
  const leave = world.peer.last("phx_leave");
  assert.equal(leave[0], world.peer.last("phx_join")[0]);
  world.peer.say(frame(11));
  await settle();
  assert.equal(leaving.state, "pending");
  world.peer.ok(leave);
  world.peer.say([leave[0], leave[0], "room:lobby", "phx_close", {}]);
  await settle();
  assert.equal(leaving.state, "fulfilled");
  assert.deepEqual(seen, []);
  await reconnect(world);
  assert.equal(world.peer.all("phx_join").length, 0);
});

test("leave does not hang on a silent or absent server", async () => {
  const { world, room } = await joined();
  const leaving = outcome(room.leave());
  await world.clock.advance(5000);
  assert.equal(leaving.state, "fulfilled");
  await world.socket().room("lobby").leave();
});

test("leaving while joining rejects the join", async () => {
  const world = new World();
  const room = world.socket().room("lobby");
  const joining = outcome(room.join());
  const leaving = room.leave();
  await leaving;
  assert.equal(joining.value.code, "left");
  world.peer.accept();
  assert.equal(world.peer.all("phx_join").length, 0);
});

test("left and joined again at once, the room is joined", async () => {
  const { world, room } = await joined();
  const leaving = room.leave();
  const joining = room.join();
  const sending = outcome(room.send("message", { text: "x" }));
  world.peer.ok(world.peer.last("phx_leave"));
  world.peer.welcome({ seq: 10 });
  await Promise.all([leaving, joining]);
  assert.equal(room.status, "joined");
  assert.equal(world.peer.all("message").length, 1);
  assert.equal(sending.state, "pending");
});

test("presence follows the room", async () => {
  const { world, room } = await joined();
  let changes = 0;
  room.presence.addEventListener("change", () => (changes += 1));
  world.peer.say([null, null, "room:lobby", "presence_state", { "user:7": { metas: [{ phx_ref: "1", name: "alice" }] } }]);
  assert.deepEqual(room.presence.people, [{ id: "user:7", name: "alice" }]);
  world.peer.say([null, null, "room:lobby", "presence_diff", { joins: {}, leaves: { "user:7": { metas: [{ phx_ref: "1" }] } } }]);
  assert.equal(room.presence.count, 0);
  assert.equal(changes, 2);
});

test("after a rejoin a diff waits for the new state", async () => {
  const { world, room } = await joined();
  const here = (ref, name) => ({ metas: [{ phx_ref: ref, name }] });
  world.peer.say([null, null, "room:lobby", "presence_state", { "user:7": here("1", "alice") }]);
  await reconnect(world);
  world.peer.welcome({ seq: 10 });
  world.peer.say([null, null, "room:lobby", "presence_diff", { joins: { "user:9": here("5", "bob") }, leaves: {} }]);
  assert.deepEqual(room.presence.people.map(({ name }) => name), ["alice"]);
  world.peer.say([null, null, "room:lobby", "presence_state", { "user:8": here("4", "carol") }]);
  assert.deepEqual(room.presence.people.map(({ name }) => name), ["bob", "carol"]);
});

test("a signal goes out while joined, and otherwise nowhere, without a word", async () => {
  const { world, room } = await joined();
  assert.equal(room.signal("typing"), undefined);
  assert.deepEqual(world.peer.last("typing").slice(2), ["room:lobby", "typing", {}]);
  world.peer.refuse(world.peer.last("typing"), { code: "rate_limited", message: "Slower.", retry_after: 1 });
  room.signal("typing", { cyclic: 1n });
  assert.equal(world.reported.length, 1);
  world.peer.close(1006);
  room.signal("typing");
  await reconnect(world);
  world.peer.welcome({ seq: 10 });
  assert.equal(world.peer.all("typing").length, 0);
});

test("history is read back", async () => {
  const { world, room } = await joined();
  const asking = room.history({ before: 9, limit: 2 });
  assert.deepEqual(world.peer.last("room_history")[4], { before: 9, limit: 2 });
  world.peer.ok(world.peer.last("room_history"), { events: [event(7), event(8), "noise"], complete: false });
  assert.deepEqual(await asking, { events: [event(7), event(8)], complete: false });
  assert.equal(room.seq, 10, "it does not move the room");
});

test("history is asked again after a reconnect, and gives up in time", async () => {
  const { world, room } = await joined();
  const first = outcome(room.history());
  await reconnect(world);
  world.peer.welcome({ seq: 10 });
  world.peer.ok(world.peer.last("room_history"), { events: [], complete: true });
  await settle();
  assert.deepEqual(first.value, { events: [], complete: true });
  const second = outcome(room.history());
  world.keepAlive();
  await world.clock.advance(30_000);
  assert.equal(second.value.code, "timeout");
  assert.deepEqual(room.pending, [], "questions are no commands");
});

test("a burst costs the same for each event", async () => {
  const { world, room } = await joined({ seq: 0 });
  let count = 0;
  room.on("message", () => (count += 1));
  for (let n = 0; n < 100; n += 1) room.send("message", { n }).catch(() => {});
  const timers = world.clock.timers;
  for (let seq = 1; seq <= 20_000; seq += 1) world.peer.say(frame(seq));
  assert.equal(count, 20_000);
  assert.equal(world.clock.timers, timers, "no timer per event");
});
