/** The client's files load as they are: in a browser under a strict policy, and through Django's hashed static files. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const ENTRY = new URL("../../realtime/static/realtime/socket.js", import.meta.url);
/** Django rewrites what looks like an import in comments, too, so those count. */
const MENTION = /(?:\bfrom\s+|\bimport\s*\(?\s*)(["'])([^"'\n]+)\1/g;

/** All that the socket needs: address -> {source, mentions}. */
function library() {
  const found = new Map();
  const visit = ({ href }) => {
    if (found.has(href)) return;
    const source = readFileSync(new URL(href), "utf8");
    const names = [...source.matchAll(MENTION)].map(([, , name]) => name);
    found.set(href, { source, names, mentions: names.map((name) => new URL(name, href)) });
    found.get(href).mentions.forEach(visit);
  };
  visit(ENTRY);
  return found;
}

const files = [...library()];
const short = (href) => href.slice(new URL(".", ENTRY).href.length);

test("there are files to look at", () => {
  assert.ok(files.length > 15);
});

for (const [href, { source, names }] of files) {
  test(`${short(href)} imports by relative path, needs no dynamic code and makes no HTML`, () => {
    for (const name of names) assert.match(name, /^\.{1,2}\/[\w./-]+\.js$/);
    const code = source.replace(/\/\*[^]*?\*\//g, "");
    for (const word of [/\beval\b/, /\bnew Function\b/, /\binnerHTML\b/, /\bimport\s*\(/, /\bdocument\.write\b/]) {
      assert.doesNotMatch(code, word);
    }
  });
}

test("no file depends on itself, not even in a comment: a hash of its content could not be made", () => {
  const graph = new Map(files.map(([href, { mentions }]) => [href, mentions.map((url) => url.href)]));
  const done = new Set();
  const visit = (href, path) => {
    assert.ok(!path.includes(href), [...path, href].map(short).join(" -> "));
    if (done.has(href)) return;
    for (const next of graph.get(href)) visit(next, [...path, href]);
    done.add(href);
  };
  for (const href of graph.keys()) visit(href, []);
});
