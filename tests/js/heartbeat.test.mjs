import assert from "node:assert/strict";
import { test } from "node:test";
import { Clock } from "../../realtime/static/realtime/clock.js";
import { Heartbeat } from "../../realtime/static/realtime/heartbeat.js";
import { FakeClock } from "./support/world.mjs";

function beating() {
  const time = new FakeClock();
  const story = [];
  const heartbeat = new Heartbeat({
    clock: new Clock(time),
    random: () => 0.5,
    beat: () => story.push("beat"),
    dead: () => story.push("dead"),
  });
  heartbeat.start();
  return { time, heartbeat, story };
}

test("beats keep their interval, however late the answer came", async () => {
  const { time, heartbeat, story } = beating();
  for (let n = 1; n <= 3; n += 1) {
    await time.advance(25_000);
    assert.equal(story.length, n);
    heartbeat.heard();
  }
  assert.deepEqual(story, ["beat", "beat", "beat"]);
});

test("what was heard before the beat is no answer to it", async () => {
  const { time, heartbeat, story } = beating();
  await time.advance(24_999);
  heartbeat.heard();
  await time.advance(10_001);
  assert.deepEqual(story, ["beat", "dead"]);
});

test("asked to probe while an answer is due, it does not ask twice", async () => {
  const { time, heartbeat, story } = beating();
  heartbeat.probe();
  await time.advance(6000);
  heartbeat.probe();
  await time.advance(4000);
  assert.deepEqual(story, ["beat", "dead"]);
});

test("stopped, it says nothing more", async () => {
  const { time, heartbeat, story } = beating();
  heartbeat.probe();
  heartbeat.stop();
  await time.advance(100_000);
  assert.deepEqual(story, ["beat"]);
  assert.equal(time.timers, 0);
});
