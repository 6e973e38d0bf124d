import assert from "node:assert/strict";
import { test } from "node:test";

import { split } from "../../realtime/static/realtime/chat-links.js";

const links = (text) => split(text).filter(({ href }) => href).map(({ href }) => href);
const joined = (text) => split(text).map((piece) => piece.text).join("");

test("text without an address is one piece", () => {
  assert.deepEqual(split("just words"), [{ text: "just words" }]);
});

test("no text is no piece", () => {
  assert.deepEqual(split(""), []);
});

test("an address in a sentence is a link, the sentence's punctuation is not", () => {
  assert.deepEqual(split("See https://example.org/a?b=1#c, please."), [
    { text: "See " },
    { text: "https://example.org/a?b=1#c", href: "https://example.org/a?b=1#c" },
    { text: ", please." },
  ]);
});

test("a bracket belongs to the address when it was opened inside it", () => {
  assert.deepEqual(links("(https://example.org/a_(b))"), ["https://example.org/a_(b)"]);
  assert.deepEqual(links("(see https://example.org/)."), ["https://example.org/"]);
});

test("several addresses are several links", () => {
  assert.deepEqual(links("http://a.example and https://b.example!"), ["http://a.example/", "https://b.example/"]);
});

for (const text of [
  "javascript:alert(1)",
  "JaVaScRiPt:alert(1)//http://",
  "data:text/html,<script>alert(1)</script>",
  "vbscript:x",
  "file:///etc/passwd",
  "ftp://example.org/",
  "http://",
  "https://[not-an-address",
  "https://bank.example@evil.example/",
  "https://user:secret@evil.example/",
]) {
  test(`${text} is text`, () => assert.deepEqual(links(text), []));
}

test("markup around an address stays text", () => {
  const text = `<a href="https://example.org/">x</a>`;
  assert.deepEqual(links(text), ["https://example.org/"]);
  assert.equal(joined(text), text);
});

test("the pieces are the text, whatever it is", () => {
  for (const text of ["a https://x.example.", "https://", "\u202ehttps://x.example\u202c", "((https://x.example/)))", "…"]) {
    assert.equal(joined(text), text);
  }
});

test("a long run of brackets or dots is not slow", () => {
  const text = `https://x.example/${")".repeat(2000)}${".".repeat(2000)}`;
  assert.equal(joined(text), text);
  assert.deepEqual(links(text), ["https://x.example/"]);
});
