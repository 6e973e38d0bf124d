import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../../realtime/static/realtime/backoff.js";

test("the wait is random within a ceiling that doubles up to the maximum", () => {
  const highest = new Backoff({ random: () => 1 });
  const waits = Array.from({ length: 9 }, () => highest.next());
  assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
});

test("the wait may be next to nothing", () => {
  const lowest = new Backoff({ random: () => 0 });
  assert.equal(lowest.next(), 0);
});

test("the ceiling holds however often it is tried", () => {
  const backoff = new Backoff({ random: () => 1 });
  for (let n = 0; n < 2000; n += 1) assert.ok(backoff.next() <= 30_000);
});

test("a reset starts the count anew", () => {
  const backoff = new Backoff({ random: () => 1 });
  backoff.next();
  backoff.next();
  backoff.reset();
  assert.equal(backoff.tries, 0);
  assert.equal(backoff.next(), 500);
});
