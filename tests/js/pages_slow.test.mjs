import assert from "node:assert/strict";
import { test } from "node:test";

import { Slow } from "../../realtime/static/realtime/chat-slow.js";

/** Slow mode over a note, a notice and a button, and a clock that the test winds. */
function stage({ note = { hidden: true, textContent: "" }, knows = true } = {}) {
  const notice = { textContent: "" };
  const button = { ariaDisabled: null };
  const form = { querySelector: (what) => ({ "[data-rt-notice]": notice, ".rt-send": button })[what] ?? null };
  const words = { has: () => knows, say: (name, { time }) => `${name} ${time}`, duration: (seconds) => `${Math.ceil(seconds)}s` };
  const clock = { time: 1_000_000, due: null };
  const slow = new Slow(note, form, words, {
    now: () => clock.time,
    setTimeout: (callback) => (clock.due = callback),
    clearTimeout: () => (clock.due = null),
  });
  const wind = (ms) => {
    clock.time += ms;
    clock.due?.();
  };
  return { slow, note, notice, button, clock, wind };
}

test("a room without slow mode says nothing and holds nobody", () => {
  const { slow, note, clock } = stage();
  slow.seconds = null;
  slow.acted(clock.time);
  assert.deepEqual([note.hidden, slow.holds(), clock.due], [true, false, null]);
});

test("who has spoken waits, is told how long, and then may again", () => {
  const { slow, note, notice, button, clock, wind } = stage();
  slow.seconds = 30;
  assert.deepEqual([note.hidden, note.textContent, slow.holds()], [false, "slow 30s", false]);
  slow.acted(clock.time);
  assert.deepEqual([note.textContent, button.ariaDisabled, notice.textContent], ["slow.wait 30s", "true", ""]);
  wind(10_000);
  assert.equal(note.textContent, "slow.wait 20s");
  assert.equal(slow.holds(), true);
  assert.equal(notice.textContent, "slow.early 20s", "the note counts: two numbers would differ");
  wind(20_000);
  assert.deepEqual([note.textContent, button.ariaDisabled, notice.textContent], ["slow 30s", null, ""]);
  assert.deepEqual([slow.holds(), clock.due], [false, null]);
});

test("what was said before the page was loaded counts", () => {
  const { slow, clock } = stage();
  slow.acted(clock.time - 25_000);
  slow.acted(clock.time - 28_000);
  slow.acted(Number.NaN);
  slow.seconds = 30;
  assert.equal(slow.holds(), true);
  slow.seconds = 20;
  assert.equal(slow.holds(), false);
});

test("where a site's own template has no note, or not that sentence, who tries too early is told how long", () => {
  for (const lacks of [{ note: null }, { knows: false }]) {
    const { slow, notice, clock } = stage(lacks);
    slow.seconds = 30;
    slow.acted(clock.time);
    assert.equal(slow.holds(), true);
    assert.equal(notice.textContent, "slow.wait 30s");
  }
});

test("a server whose clock is ahead makes nobody wait longer", () => {
  const { slow, note, clock } = stage();
  slow.seconds = 30;
  slow.acted(clock.time + 3_600_000);
  assert.equal(note.textContent, "slow.wait 30s");
});

test("another notice is left alone", () => {
  const { slow, notice, clock, wind } = stage();
  slow.seconds = 30;
  slow.acted(clock.time);
  notice.textContent = "Older messages could not be loaded.";
  wind(30_000);
  assert.equal(notice.textContent, "Older messages could not be loaded.");
});

test("who becomes a moderator need not wait any more", () => {
  const { slow, note, button, clock } = stage();
  slow.seconds = 30;
  slow.acted(clock.time);
  slow.seconds = null;
  assert.deepEqual([note.hidden, button.ariaDisabled, slow.holds(), clock.due], [true, null, false, null]);
});
