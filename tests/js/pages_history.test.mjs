import assert from "node:assert/strict";
import { test } from "node:test";

import { History } from "../../realtime/static/realtime/chat-history.js";

const event = (seq, text = `line ${seq}`) => ({ seq, name: "message", at: "", by: null, key: null, data: { text } });
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => event(from + index));

/** The lines without a page: seqs in order. */
class Lines {
  seqs = [];
  gaps = [];
  nodes = [];
  get size() { return this.seqs.length; }
  get first() { return this.seqs[0]; }
  get last() { return this.seqs.at(-1); }
  add(events) { this.seqs = [...new Set([...this.seqs, ...events.map(({ seq }) => seq)])].sort((a, b) => a - b); }
  dropOldest(count) { this.seqs.splice(0, count); }
  dropNewest(count) { this.seqs.splice(-count); }
  dropThrough(seq) { this.seqs = this.seqs.filter((kept) => kept > seq); }
  clear() { this.seqs = []; }
  markGap() { this.gaps.push(this.last); }
}

/** A room whose log holds the seqs `tail + 1` to `head`. */
function stage({ head, tail = 0, shown = 50 }) {
  const room = {
    seq: head,
    history({ before = Infinity, limit }) {
      const newest = Math.min(before - 1, room.seq);
      const oldest = Math.max(tail + 1, newest - limit + 1);
      return Promise.resolve({ events: range(oldest, newest), complete: oldest <= tail + 1 });
    },
  };
  const lines = new Lines();
  lines.add(range(head - shown + 1, head));
  const scroll = {
    isAtBottom: true, isNearTop: false, isNearBottom: true, isInUpperHalf: false,
    keep: (_, change) => change(),
    toBottom() { Object.assign(scroll, { isAtBottom: true, isNearBottom: true, isNearTop: false, isInUpperHalf: false }); },
    toTop() { Object.assign(scroll, { isAtBottom: false, isNearBottom: false, isNearTop: true, isInUpperHalf: true }); },
  };
  const timers = [];
  const snapshot = { seq: head, first: head - shown + 1, complete: shown === head - tail };
  const history = new History(room, lines, scroll, snapshot, { setTimeout: (callback) => timers.push(callback) });
  return {
    room, lines, scroll, history,
    arrive(from, to = from) {
      for (const each of range(from, to)) {
        room.seq = each.seq;
        history.receive(each, false);
      }
    },
    settle() { for (const callback of timers.splice(0)) callback(); },
  };
}

const isWhole = (seqs) => seqs.every((seq, index) => index === 0 || seq === seqs[index - 1] + 1);

test("what arrives while one is at the bottom is shown and not counted", () => {
  const { arrive, settle, lines, history } = stage({ head: 50 });
  arrive(51, 53);
  settle();
  assert.equal(lines.last, 53);
  assert.equal(history.unread, 0);
});

test("what arrives while one reads further up is shown below and counted", () => {
  const { arrive, settle, lines, history, scroll } = stage({ head: 50 });
  scroll.toTop();
  arrive(51, 53);
  settle();
  assert.equal(lines.last, 53);
  assert.equal(history.unread, 3);
});

test("going up reads page after page until nothing older is kept", async () => {
  const { lines, history, scroll } = stage({ head: 170, tail: 20 });
  scroll.toTop();
  for (let turn = 0; turn < 5; turn += 1) await history.move();
  assert.equal(lines.first, 21);
  assert.equal(isWhole(lines.seqs), true);
  assert.equal(history.isComplete, true);
});

test("the page never holds more than a few hundred lines, in either direction, and loses none", async () => {
  const { arrive, settle, lines, history, scroll, room } = stage({ head: 10_000 });
  scroll.toTop();
  for (let turn = 0; turn < 100; turn += 1) await history.move();
  assert.ok(lines.size <= 400);
  assert.equal(isWhole(lines.seqs), true);
  assert.equal(history.isAttached, false);

  arrive(10_001, 10_010);
  settle();
  assert.ok(lines.last < 6000, "what arrives far below is not shown here");
  assert.equal(history.unread, 10);

  Object.assign(scroll, { isNearTop: false, isNearBottom: true, isInUpperHalf: false });
  for (let turn = 0; turn < 200; turn += 1) await history.move();
  assert.equal(lines.last, room.seq);
  assert.equal(isWhole(lines.seqs), true);
  assert.equal(history.isAttached, true);
});

test("ten thousand events in a burst leave the newest few hundred", () => {
  const { arrive, settle, lines, history } = stage({ head: 50 });
  arrive(51, 10_050);
  settle();
  assert.ok(lines.size <= 400);
  assert.equal(lines.last, 10_050);
  assert.equal(isWhole(lines.seqs), true);
  assert.equal(history.isComplete, false);
});

test("the newest is one step away, with what arrives on the way", async () => {
  const { arrive, settle, lines, history, scroll } = stage({ head: 1000 });
  scroll.toTop();
  for (let turn = 0; turn < 12; turn += 1) await history.move();
  const going = history.latest();
  arrive(1001, 1003);
  await going;
  settle();
  assert.equal(lines.last, 1003);
  assert.equal(isWhole(lines.seqs), true);
  assert.equal(history.unread, 0);
  assert.equal(scroll.isAtBottom, true);
});

test("what was cleared goes, and what was under way with it does not come back", async () => {
  const { lines, history, scroll } = stage({ head: 100 });
  scroll.toTop();
  const loading = history.older();
  history.clear(90);
  await loading;
  assert.deepEqual(lines.seqs, [91, 92, 93, 94, 95, 96, 97, 98, 99, 100]);
  assert.equal(history.isComplete, true);
});

test("what is no longer kept further up leaves the page and what is between to be read", () => {
  const { lines, history } = stage({ head: 100 });
  const first = lines.seqs[0];
  history.clear(first - 2);
  assert.equal(lines.seqs[0], first);
  assert.equal(history.isComplete, false);
});

test("a gap is marked where it is", () => {
  const { lines, history } = stage({ head: 50 });
  history.gap(900);
  assert.deepEqual(lines.gaps, [50]);
});

test("a room that stands at an older seq than the page is shown anew", async () => {
  const { lines, history, room } = stage({ head: 50 });
  room.seq = 3;
  await history.gap(3);
  assert.deepEqual(lines.seqs, [1, 2, 3]);
});

test("a refusal is told, and the page can be asked for again", async () => {
  const { lines, history, room, scroll } = stage({ head: 100 });
  const refusals = [];
  history.addEventListener("refused", ({ detail }) => refusals.push(detail.code));
  const read = room.history;
  room.history = () => Promise.reject(Object.assign(new Error("no"), { code: "unavailable" }));
  scroll.toTop();
  await history.older();
  room.history = read;
  await history.older();
  assert.deepEqual(refusals, ["unavailable"]);
  assert.equal(lines.first, 1);
});
