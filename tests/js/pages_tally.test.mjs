import assert from "node:assert/strict";
import { test } from "node:test";

import { Tally } from "../../realtime/static/realtime/counter-tally.js";

function tallyAt(value, seq) {
  let keys = 0;
  return new Tally(value, seq, () => `k${(keys += 1)}`);
}
const added = (seq, by, key = null) => ({ seq, key, data: { by } });

test("a press shows at once", () => {
  const tally = tallyAt(10, 5);
  tally.press(1);
  assert.equal(tally.value, 11);
  assert.equal(tally.isUnsure, true);
});

test("presses go together in one command", () => {
  const tally = tallyAt(0, 0);
  for (const by of [1, 1, -1, 1]) tally.press(by);
  assert.deepEqual(tally.take(), { key: "k1", by: 2 });
  assert.equal(tally.take(), null);
  assert.equal(tally.value, 2);
});

test("presses that come to nothing are no command", () => {
  const tally = tallyAt(0, 0);
  tally.press(1);
  tally.press(-1);
  assert.equal(tally.take(), null);
  assert.equal(tally.isUnsure, false);
});

test("more than a command may carry stays for the next", () => {
  const tally = tallyAt(0, 0);
  tally.press(2500);
  assert.deepEqual([tally.take().by, tally.take().by, tally.take().by, tally.take()], [1000, 1000, 500, null]);
  assert.equal(tally.value, 2500);
});

for (const [order, steps] of Object.entries({
  "event, reply": (tally) => (tally.hear(added(6, 1, "k1")), tally.confirm("k1", 6)),
  "reply, event": (tally) => (tally.confirm("k1", 6), tally.hear(added(6, 1, "k1"))),
})) {
  test(`a command counts once: ${order}`, () => {
    const tally = tallyAt(10, 5);
    tally.press(1);
    tally.take();
    steps(tally);
    assert.equal(tally.value, 11);
    assert.equal(tally.isUnsure, false);
  });
}

test("between reply and event nothing flickers, also when others come in between", () => {
  const tally = tallyAt(10, 5);
  tally.press(1);
  tally.take();
  tally.confirm("k1", 7);
  assert.equal(tally.value, 11);
  tally.hear(added(6, 3));
  assert.equal(tally.value, 14);
  tally.hear(added(7, 1, "k1"));
  assert.equal(tally.value, 14);
});

test("an event that the value has in it already is not added again", () => {
  const tally = tallyAt(10, 5);
  tally.hear(added(5, 4));
  tally.hear(added(4, 4));
  assert.equal(tally.value, 10);
});

test("a refused command is taken back", () => {
  const tally = tallyAt(10, 5);
  tally.press(1);
  tally.fail(tally.take().key);
  assert.equal(tally.value, 10);
});

test("after a reconnect, what the room had taken in while the reply was lost counts once", () => {
  const tally = tallyAt(10, 5);
  tally.press(1);
  tally.take();
  tally.reset(12, 7); // another's +1 and ours
  tally.hear(added(6, 1));
  tally.hear(added(7, 1, "k1"));
  assert.equal(tally.value, 12);
  assert.equal(tally.isUnsure, false);
});

test("after a reconnect over a gap, the reply to what is sent again settles it", () => {
  const tally = tallyAt(10, 5);
  tally.press(1);
  tally.take();
  tally.reset(50, 90);
  tally.confirm("k1", 60);
  assert.equal(tally.value, 50);
});

test("a confirmed command whose event was missed is in the value of the next welcome", () => {
  const tally = tallyAt(10, 5);
  tally.press(1);
  tally.take();
  tally.confirm("k1", 6);
  tally.reset(11, 6);
  assert.equal(tally.value, 11);
  assert.equal(tally.isUnsure, false);
});

test("what is not sent yet survives a welcome", () => {
  const tally = tallyAt(0, 0);
  tally.press(1);
  tally.reset(5, 5);
  assert.equal(tally.value, 6);
});
