import assert from "node:assert/strict";
import { test } from "node:test";

import { arrange, daysAgo, isoDay } from "../../realtime/static/realtime/chat-arrange.js";

const alice = { id: "user:1" };
const bob = { id: "user:2" };
const at = (day, hour, minute = 0) => new Date(2026, 2, day, hour, minute).toISOString();
const line = (when, by = alice, name = "message") => ({ at: when, by, name });

test("the first line starts a day", () => {
  assert.deepEqual(arrange(line(at(1, 10)), null), { startsDay: true, isGrouped: false });
});

test("lines of one person within five minutes stand under one name", () => {
  assert.equal(arrange(line(at(1, 10, 5)), line(at(1, 10, 0))).isGrouped, true);
  assert.equal(arrange(line(at(1, 10, 6)), line(at(1, 10, 0))).isGrouped, false);
});

test("another person, another kind of event and the site itself get a name of their own", () => {
  assert.equal(arrange(line(at(1, 10)), line(at(1, 10), bob)).isGrouped, false);
  assert.equal(arrange(line(at(1, 10)), line(at(1, 10), alice, "announcement")).isGrouped, false);
  assert.equal(arrange(line(at(1, 10), null), line(at(1, 10), null)).isGrouped, false);
});

test("a day starts at midnight of the browser's own zone, also between lines of one person", () => {
  assert.deepEqual(arrange(line(at(2, 0, 1)), line(at(1, 23, 59))), { startsDay: true, isGrouped: false });
  assert.equal(arrange(line(at(2, 23)), line(at(2, 1))).startsDay, false);
});

test("days are counted by the calendar and not by 24 hours", () => {
  const now = new Date(2026, 2, 30, 0, 5);
  assert.equal(daysAgo(new Date(2026, 2, 30, 0, 1), now), 0);
  assert.equal(daysAgo(new Date(2026, 2, 29, 23, 59), now), 1);
  assert.equal(daysAgo(new Date(2026, 2, 28, 23, 59), now), 2);
});

test("a day is written as a <time> has it", () => {
  assert.equal(isoDay(new Date(2026, 2, 1, 23, 59)), "2026-03-01");
});
