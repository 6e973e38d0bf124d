import assert from "node:assert/strict";
import { test } from "node:test";
import { Presence } from "../../realtime/static/realtime/presence.js";

const person = (ref, name) => ({ metas: [{ phx_ref: ref, name }] });
const names = (presence) => presence.people.map(({ name }) => name);

function present(people = { "user:7": person("1", "alice") }) {
  const presence = new Presence();
  presence.receive("presence_state", people);
  return presence;
}

test("a state is the list, by name", () => {
  const presence = present({ "user:9": person("2", "bob"), "user:8": person("3", "Carol"), "user:7": person("1", "alice") });
  assert.deepEqual(presence.people[0], { id: "user:7", name: "alice" });
  assert.deepEqual(names(presence), ["alice", "bob", "Carol"]);
  assert.equal(presence.count, 3);
  assert.equal(presence.listed, true);
});

test("a diff lets people come and go, and says so", () => {
  const presence = present();
  let changes = 0;
  presence.addEventListener("change", () => (changes += 1));
  presence.receive("presence_diff", { joins: { "user:9": person("2", "bob") }, leaves: {} });
  assert.deepEqual(names(presence), ["alice", "bob"]);
  presence.receive("presence_diff", { joins: {}, leaves: { "user:7": person("1", "alice") } });
  assert.deepEqual(names(presence), ["bob"]);
  assert.equal(changes, 2);
});

test("a person with two metas is one person, until both are gone", () => {
  const presence = present();
  presence.receive("presence_diff", { joins: { "user:7": person("5", "alice") }, leaves: {} });
  assert.equal(presence.count, 1);
  presence.receive("presence_diff", { joins: {}, leaves: { "user:7": person("1", "alice") } });
  assert.equal(presence.count, 1);
  presence.receive("presence_diff", { joins: {}, leaves: { "user:7": person("5", "alice") } });
  assert.equal(presence.count, 0);
});

test("a replaced meta renames without leaving", () => {
  const presence = present();
  presence.receive("presence_diff", { joins: { "user:7": person("6", "Alice B.") }, leaves: { "user:7": person("1", "alice") } });
  assert.deepEqual(names(presence), ["Alice B."]);
});

test("a leave that is repeated or unknown does nothing", () => {
  const presence = present();
  const leaves = { "user:9": person("2", "bob") };
  presence.receive("presence_diff", { joins: {}, leaves });
  presence.receive("presence_diff", { joins: {}, leaves });
  assert.equal(presence.count, 1);
});

test("diffs before the state wait for it", () => {
  const presence = new Presence();
  presence.receive("presence_diff", { joins: { "user:9": person("2", "bob") }, leaves: {} });
  assert.equal(presence.count, 0);
  presence.receive("presence_state", { "user:7": person("1", "alice") });
  assert.deepEqual(names(presence), ["alice", "bob"]);
});

test("after a rejoin the list stays until its new state", () => {
  const presence = present();
  presence.expectState();
  assert.deepEqual(names(presence), ["alice"]);
  presence.receive("presence_state", { "user:9": person("2", "bob") });
  assert.deepEqual(names(presence), ["bob"]);
});

test("in a large room only the number is known, until the list is back", () => {
  const presence = present();
  presence.receive("presence_count", { count: 1042 });
  assert.deepEqual([presence.count, presence.listed, presence.people], [1042, false, []]);
  presence.receive("presence_diff", { joins: { "user:9": person("2", "bob") }, leaves: {} });
  assert.equal(presence.count, 1042);
  presence.receive("presence_state", { "user:7": person("1", "alice") });
  assert.equal(presence.listed, true);
  assert.deepEqual(names(presence), ["alice"]);
});

test("people may be called after anything in JavaScript", () => {
  const presence = new Presence();
  const text = '{"__proto__":{"metas":[{"phx_ref":"1","name":"proto"}]},"constructor":{"metas":[{"phx_ref":"2","name":"c"}]}}';
  presence.receive("presence_state", JSON.parse(text));
  assert.deepEqual(presence.people, [{ id: "constructor", name: "c" }, { id: "__proto__", name: "proto" }]);
  presence.receive("presence_diff", JSON.parse(`{"joins":{},"leaves":${text}}`));
  assert.equal(presence.count, 0);
  assert.equal({}.metas, undefined);
});

test("strange payloads are survived", () => {
  const presence = present();
  for (const payload of [{}, { joins: 7, leaves: null }, { joins: { a: null, b: { metas: 7 }, c: { metas: [null, {}] } } }]) {
    presence.receive("presence_diff", payload);
  }
  presence.receive("presence_count", { count: "many" });
  presence.receive("presence_unheard_of", {});
  assert.deepEqual(names(presence), ["alice"]);
  presence.receive("presence_diff", { joins: { "user:1": { metas: [{ phx_ref: "9" }] } } });
  assert.deepEqual(names(presence), ["alice", "user:1"]);
});

test("the sorted list is made once for all who ask", () => {
  const presence = present();
  assert.equal(presence.people, presence.people);
});
