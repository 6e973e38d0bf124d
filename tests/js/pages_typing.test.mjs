import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { Typing } from "../../realtime/static/realtime/chat-typing.js";

const words = { list: (names) => names.join(" and "), pieces: (_, { names }) => [names, " writing"], say: () => "many" };
const person = (name) => ({ id: `user:${name}`, name });

test("who goes on writing is written down once, and taken away once", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const shown = [];
  const line = { replaceChildren: (...pieces) => shown.push(pieces.join("")) };
  let now = 0;
  const typing = new Typing(line, { room: {}, words }, () => now);
  const pass = (ms) => {
    for (let at = 0; at < ms; at += 500) {
      now += 500;
      mock.timers.tick(500);
    }
  };
  typing.hear(person("bob"));
  pass(3000);
  typing.hear(person("bob"));
  typing.hear(person("eve"));
  pass(20_000);
  assert.deepEqual(shown, ["bob writing", "bob and eve writing", ""]);
  mock.timers.reset();
});
