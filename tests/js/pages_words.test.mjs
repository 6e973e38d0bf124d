import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Words } from "../../realtime/static/realtime/page-words.js";

const read = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

/** The words of a page, from its templates. */
function wordsOf(...kinds) {
  const found = kinds.flatMap((kind) => [
    ...read(`realtime/templates/realtime/kinds/${kind}.html`).matchAll(/data-word="([^"]+)">\{% translate "([^"]+)" %\}/g),
  ]);
  const words = found.map(([, word, textContent]) => ({ dataset: { word }, textContent }));
  const template = { content: { querySelectorAll: () => words } };
  return new Words({ querySelectorAll: () => [template] }, "en");
}

const pages = { chat: wordsOf("base", "chat"), counter: wordsOf("base", "counter") };
const codes = new Set([
  ...[...read("docs/protocol.md").matchAll(/^\| `(\w+)` \| (?:yes|no) \|/gm)].map(([, code]) => code),
  ...[...read("realtime/errors.py").matchAll(/__init__\(\s*"(\w+)",/g)].map(([, code]) => code),
  ...[...read("realtime/static/realtime/refusal.js").matchAll(/`([a-z_]+)`(?=[,.])/g)].map(([, code]) => code),
]);

test("the codes are found", () => {
  for (const code of ["rate_limited", "banned", "muted", "kicked", "outbox_full", "discarded"]) assert.ok(codes.has(code), code);
});

for (const [page, words] of Object.entries(pages)) {
  for (const code of codes) {
    test(`the ${page} has a sentence for ${code}`, () => {
      for (const more of [{}, { retryAfter: 3 }, { until: "2026-11-21T10:15:30Z" }]) {
        const said = words.refusal({ code, message: code, ...more });
        assert.match(said, /^[A-Z].* .*\.$/);
        assert.doesNotMatch(said, /[_{}]/);
      }
    });
  }
}

test("who was too fast is told for how long", () => {
  for (const words of Object.values(pages)) {
    assert.match(words.refusal({ code: "rate_limited", message: "", retryAfter: 2.4 }), /3 seconds/);
    assert.match(words.refusal({ code: "rate_limited", message: "", retryAfter: 0 }), /1 second\b/);
  }
});

test("what people meet has words of its own", () => {
  const generic = pages.chat.say("refused");
  for (const code of ["rate_limited", "too_many_connections", "too_many_rooms", "banned", "muted", "kicked", "overloaded",
    "unavailable", "flooding", "shut_out"]) {
    assert.notEqual(pages.chat.refusal({ code, message: code }), generic);
  }
});

test("a kind's own refusal is said in the kind's words, and a bare code never", () => {
  assert.equal(pages.chat.refusal({ code: "sold_out", message: "All seats are taken." }), "All seats are taken.");
  assert.equal(pages.chat.refusal({ code: "sold_out", message: "sold_out" }), pages.chat.say("refused"));
});
