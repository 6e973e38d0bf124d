import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { decode, encode, readReply } from "../../realtime/static/realtime/codec/frames.js";
import { readEvent, readEvents, readWelcome } from "../../realtime/static/realtime/codec/shapes.js";
import { Refusal } from "../../realtime/static/realtime/refusal.js";
import { World } from "./support/world.mjs";

const vectors = JSON.parse(readFileSync(new URL("../vectors/wire.json", import.meta.url), "utf8"));
const vector = (name) => vectors.find((one) => one.name === name);

const asFrame = ([joinRef, ref, topic, event, payload]) => ({ joinRef, ref, topic, event, payload });
const withoutRefs = (frame) => frame.slice(2);

for (const { name, frame, text } of vectors) {
  test(`vector ${name} is read and written to the letter`, () => {
    assert.deepEqual(decode(text), asFrame(frame));
    assert.equal(encode(asFrame(frame)), text);
  });
}

test("what the client sends is what the vectors show", async () => {
  const world = new World();
  const { room } = await world.joined({ page: { since: 41 }, response: { seq: 41 } });
  const { key } = vector("command").frame[4];
  room.send("message", { text: "hello" }, { key });
  room.signal("typing");
  room.history({ before: 20, limit: 50 });
  room.history();
  room.remove(41);
  room.kick("user:9");
  room.ban("user:9", { seconds: 600, reason: "spam" });
  room.unban("user:9");
  room.mute("user:9", { seconds: 600 });
  room.unmute("user:9");
  await world.clock.advance(27_500);
  room.leave();

  const sent = world.peer.frames.map(withoutRefs);
  const names = ["join_with_since", "command", "ephemeral_command", "history", "history_of_the_newest"];
  names.push("remove", "kick", "ban", "unban", "mute", "unmute", "heartbeat", "leave");
  assert.deepEqual(sent, names.map((name) => withoutRefs(vector(name).frame)));
  const [join, ...rest] = world.peer.frames;
  assert.equal(join[0], join[1], "a join's ref is its own join_ref");
  for (const [joinRef, , topic] of rest) assert.equal(joinRef, topic === "phoenix" ? null : join[0]);
  assert.equal(new Set(world.peer.frames.map(([, ref]) => ref)).size, sent.length, "refs are not reused");
});

test("what is no frame decodes to null", () => {
  const strange = ["", "nonsense", "null", "{}", "[]", '[null,null,"t","e"]', '[1,null,"t","e",{}]', '[null,{},"t","e",{}]'];
  strange.push('[null,null,7,"e",{}]', '[null,null,"t",null,{}]', '[null,null,"t","e",null]', '[null,null,"t","e",[]]');
  for (const text of [...strange, new ArrayBuffer(8), undefined]) assert.equal(decode(text), null, String(text));
});

test("elements past the fifth are ignored", () => {
  assert.equal(decode('[null,null,"t","e",{},"more"]')?.event, "e");
});

test("every status but ok is a refusal, and a missing response is empty", () => {
  assert.deepEqual(readReply({ status: "ok" }), { ok: true, response: {} });
  assert.deepEqual(readReply({ status: "timeout", response: 7 }), { ok: false, response: {} });
});

test("fields of the wrong type become neutral ones", () => {
  const event = readEvent("message", { seq: -1, at: 5, by: { id: 7 }, key: {}, data: [] });
  assert.deepEqual(event, { name: "message", at: null, by: null, key: null, data: {} });
  assert.deepEqual(readEvents([null, 7, {}, { seq: "1", name: "x" }, { seq: 1.5, name: "x" }, { seq: 1 }]), []);
  assert.deepEqual(readEvents({ length: 3 }), []);
});

test("an empty welcome is readable", () => {
  const nothing = readWelcome({});
  assert.deepEqual([nothing.seq, nothing.events, nothing.more, nothing.complete], [0, [], false, true]);
  assert.deepEqual([nothing.state, nothing.you, nothing.can], [{}, null, []]);
});

test("the vectors' refusals say whether to try again", () => {
  const again = new Set(["rate_limited", "overloaded", "unavailable", "muted", "room_full"]);
  const refused = vectors.filter(({ frame }) => frame[4].status === "error").map(({ frame }) => frame[4].response);
  assert.ok(refused.length > 10);
  for (const response of refused) {
    const refusal = Refusal.from(response);
    assert.equal(refusal.code, response.code);
    assert.equal(refusal.message, response.message);
    assert.equal(refusal.retryAfter, response.retry_after ?? null);
    assert.equal(refusal.until, response.until ?? null);
    const isForGood = response.until === null;
    assert.equal(refusal.retryAfter !== null, again.has(refusal.code) && !isForGood, refusal.code);
  }
});

test("a refusal can be read from anything", () => {
  assert.equal(Refusal.from({ reason: "join crashed" }).code, "join crashed");
  assert.equal(Refusal.from(null).code, "refused");
  assert.equal(Refusal.from({ code: "x", retry_after: "soon" }).retryAfter, null);
  assert.equal(Refusal.from({ code: "x", retry_after: -1 }).retryAfter, null);
  assert.equal(Refusal.from({ code: "x", retry_after: 0 }).retryAfter, 0);
  assert.equal(Refusal.from({ code: "x", retry_after: 1e12 }).retryAfter, 3600, "no timer overflows");
});
