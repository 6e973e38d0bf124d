import assert from "node:assert/strict";
import { test } from "node:test";

import { Draft } from "../../realtime/static/realtime/chat-draft.js";

function storage() {
  const kept = new Map();
  return {
    kept,
    getItem: (name) => kept.get(name) ?? null,
    setItem: (name, text) => void kept.set(name, text),
    removeItem: (name) => void kept.delete(name),
  };
}

test("a draft is there again after a reload, for the same person in the same room", () => {
  const tab = storage();
  new Draft(tab, "user:1", "tea").text = "half a sent";
  assert.equal(new Draft(tab, "user:1", "tea").text, "half a sent");
  assert.equal(new Draft(tab, "user:2", "tea").text, "");
  assert.equal(new Draft(tab, "user:1", "cake").text, "");
});

test("an empty draft leaves nothing behind", () => {
  const tab = storage();
  const draft = new Draft(tab, "user:1", "tea");
  draft.text = "x";
  draft.text = "";
  assert.deepEqual([draft.text, tab.kept.size], ["", 0]);
});

test("a storage that is absent or full costs the draft alone", () => {
  const full = { getItem: () => null, setItem: () => assert.fail("QuotaExceededError"), removeItem() {} };
  for (const tab of [null, full]) {
    const draft = new Draft(tab, "user:1", "tea");
    draft.text = "x";
    assert.equal(draft.text, "");
  }
});
