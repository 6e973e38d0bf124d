import assert from "node:assert/strict";
import { test } from "node:test";

import { Typists } from "../../realtime/static/realtime/chat-typists.js";

const alice = { id: "user:1", name: "alice" };
const bob = { id: "user:2", name: "bob" };

test("who writes is named, in the order in which they began", () => {
  const typists = new Typists(6000);
  typists.hear(bob, 0);
  typists.hear(alice, 10);
  typists.hear(bob, 20);
  assert.deepEqual(typists.names(30), ["bob", "alice"]);
});

test("silence ends it", () => {
  const typists = new Typists(6000);
  typists.hear(alice, 0);
  typists.hear(bob, 4000);
  assert.deepEqual(typists.names(5999), ["alice", "bob"]);
  assert.deepEqual(typists.names(6000), ["bob"]);
});

test("a message ends it at once", () => {
  const typists = new Typists(6000);
  typists.hear(alice, 0);
  typists.forget(alice.id);
  assert.deepEqual(typists.names(1), []);
});
