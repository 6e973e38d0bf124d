import assert from "node:assert/strict";
import { test } from "node:test";

import { hueOf } from "../../realtime/static/realtime/page-people.js";
import { Status, troubleOf } from "../../realtime/static/realtime/page-status.js";

for (const [socket, room, trouble] of [
  ["open", "joined", ""],
  ["open", "joining", "status.connecting"],
  ["connecting", "waiting", "status.connecting"],
  ["waiting", "waiting", "status.waiting"],
  ["offline", "waiting", "status.offline"],
  ["stopped", "waiting", "status.stopped"],
  ["paused", "waiting", null],
  ["stopped", "idle", null],
  ["open", "ended", null],
]) {
  test(`socket ${socket}, room ${room}: ${trouble === "" ? "all is well" : trouble}`, () => {
    assert.equal(troubleOf(socket, room), trouble);
  });
}

test("a person's colour is the one that the server gives", () => {
  assert.equal(hueOf("user:7"), 0);
  assert.equal(hueOf("guest:0a"), 3);
});

/** A status line over a socket and a room whose states the test sets, and a clock that it winds. */
function stage() {
  const socket = Object.assign(new EventTarget(), { status: "open" });
  const room = Object.assign(new EventTarget(), { status: "joined" });
  const line = { textContent: "" };
  const button = { hidden: true, addEventListener() {} };
  const again = Object.assign(new EventTarget(), { hidden: true });
  const parts = { "[data-rt-status]": line, "[data-rt-reconnect]": button, "[data-rt-look-again]": again };
  const element = { querySelector: (what) => parts[what] ?? null };
  const words = { has: (name) => name === "status.room_full", say: (name) => name, refusal: ({ message }) => message };
  const due = [];
  const clock = {
    setTimeout: (callback, ms) => due.push({ callback, ms }),
    clearTimeout: (id) => id && (due[id - 1].callback = () => {}),
  };
  new Status(element, { socket, room, words }, { patienceMs: 1500, ...clock });
  return {
    line,
    button,
    again,
    room,
    refuse: (detail) => socket.dispatchEvent(new CustomEvent("refusal", { detail })),
    become(status) {
      socket.status = status;
      socket.dispatchEvent(new Event("status"));
    },
    wait() {
      for (const { callback } of due.splice(0, due.length, ...due.map((timer) => ({ ...timer, callback() {} })))) callback();
    },
  };
}

test("a drop that is over within a moment is not mentioned", () => {
  const { become, wait, line } = stage();
  become("waiting");
  become("open");
  wait();
  assert.equal(line.textContent, "");
});

test("a longer drop is said, with a way to hurry, and so is its end, for a moment", () => {
  const { become, wait, line, button } = stage();
  become("waiting");
  wait();
  assert.equal(line.textContent, "status.waiting");
  assert.equal(button.hidden, false);
  become("open");
  assert.equal(line.textContent, "status.back");
  assert.equal(button.hidden, true);
  wait();
  assert.equal(line.textContent, "");
});

test("a server that says why it has no place for us is quoted until it has", () => {
  const { become, wait, line, room, refuse } = stage();
  refuse({ message: "Too many pages.", retryAfter: 30 });
  become("waiting");
  wait();
  assert.equal(line.textContent, "Too many pages. status.waiting");
  room.dispatchEvent(new Event("joined"));
  become("open");
  become("waiting");
  wait();
  assert.equal(line.textContent, "status.waiting");
});

test("going back and forth between two troubles shows the one that lasts", () => {
  const { become, wait, line } = stage();
  become("waiting");
  wait();
  become("connecting");
  become("waiting");
  wait();
  assert.equal(line.textContent, "status.waiting");
});

test("the end of a room is said at once and stays", () => {
  const { become, wait, line, room } = stage();
  room.status = "ended";
  room.dispatchEvent(new CustomEvent("ended", { detail: { message: "This room is closed." } }));
  become("waiting");
  wait();
  assert.equal(line.textContent, "This room is closed.");
});

/** The room does not let one in for now. */
function refuse(room, code) {
  room.dispatchEvent(new CustomEvent("refused", { detail: { code } }));
  room.status = "waiting";
  room.dispatchEvent(new Event("status"));
}

/** The room goes through these states. */
function pass(room, ...states) {
  for (const status of states) {
    room.status = status;
    room.dispatchEvent(new Event("status"));
  }
}

test("a room that is full is said at once, stays while the page asks again, and so is that one is in", () => {
  const { become, wait, line, button, room } = stage();
  pass(room, "joining");
  for (let times = 0; times < 2; times += 1) {
    refuse(room, "room_full");
    assert.deepEqual([line.textContent, button.hidden], ["status.room_full", true]);
    pass(room, "joining");
    wait();
    assert.equal(line.textContent, "status.room_full");
  }
  pass(room, "joined");
  room.dispatchEvent(new Event("joined"));
  assert.equal(line.textContent, "status.let_in");
  wait();
  assert.equal(line.textContent, "");
  become("waiting");
  wait();
  become("open");
  assert.equal(line.textContent, "status.back", "the next drop is a drop");
});

test("what has no sentence of its own is a wait like any other", () => {
  const { wait, line, room } = stage();
  pass(room, "joining");
  refuse(room, "unavailable");
  assert.equal(line.textContent, "");
  wait();
  assert.equal(line.textContent, "status.connecting");
});

/** The room ends with a refusal of this code. */
function end(room, code) {
  room.status = "ended";
  room.dispatchEvent(new CustomEvent("ended", { detail: { code, message: code } }));
}

test("a room that was closed can be looked at again, which says whether it is open", async () => {
  const { wait, line, room, again } = stage();
  end(room, "room_closed");
  assert.equal(again.hidden, false);
  room.join = () => (end(room, "room_closed"), Promise.reject(new Error("still closed")));
  again.dispatchEvent(new Event("click"));
  await null;
  assert.deepEqual([line.textContent, again.hidden], ["room_closed", false]);
  room.join = async () => {
    room.status = "joined";
    room.dispatchEvent(new Event("joined"));
  };
  again.dispatchEvent(new Event("click"));
  assert.equal(line.textContent, "status.looking");
  await null;
  assert.deepEqual([line.textContent, again.hidden], ["status.reopened", true]);
  wait();
  assert.equal(line.textContent, "");
});

test("a room that is gone for this person is not offered again", () => {
  const { room, again } = stage();
  end(room, "forbidden");
  assert.equal(again.hidden, true);
});

test("what was said of a trouble that is over goes, also when a short drop comes in between", () => {
  const { socket, line, clock, wind } = again();
  socket("waiting");
  wind(1500);
  assert.equal(line.textContent, "status.waiting");
  socket("open");
  assert.equal(line.textContent, "status.back");
  wind(1000);
  socket("waiting");
  wind(100);
  socket("open");
  wind(3000);
  assert.equal(line.textContent, "");
});

test("a short drop while one waits for a place is not mentioned, a longer one is", () => {
  const { socket, line, room, wind } = again();
  refuse(room, "room_full");
  for (let times = 0; times < 2; times += 1) {
    socket("waiting");
    wind(1000);
    assert.equal(line.textContent, "status.room_full");
    socket("open");
    wind(5000);
    assert.equal(line.textContent, "status.room_full");
  }
  socket("waiting");
  wind(1500);
  assert.equal(line.textContent, "status.waiting");
});

/** A status line, a socket that changes and a clock that runs. */
function again() {
  const target = Object.assign(new EventTarget(), { status: "open" });
  const room = Object.assign(new EventTarget(), { status: "joined" });
  const line = { textContent: "" };
  const element = { querySelector: (what) => (what === "[data-rt-status]" ? line : null) };
  const words = { has: (name) => name === "status.room_full", say: (name) => name, refusal: ({ message }) => message };
  let now = 0;
  let due = [];
  const clock = {
    setTimeout: (callback, ms) => {
      const timer = { callback, at: now + ms };
      due.push(timer);
      return timer;
    },
    clearTimeout: (timer) => (due = due.filter((other) => other !== timer)),
  };
  new Status(element, { socket: target, room, words }, clock);
  return {
    line,
    clock,
    room,
    socket: (status) => {
      target.status = status;
      target.dispatchEvent(new Event("status"));
    },
    wind: (ms) => {
      now += ms;
      const ready = due.filter((timer) => timer.at <= now);
      due = due.filter((timer) => timer.at > now);
      for (const timer of ready) timer.callback();
    },
  };
}
