/** Says that one is writing, not too often, and shows who else is. */

import { Typists } from "./chat-typists.js";

const SAY_EVERY_MS = 3000;
const NAMED = 3;

export class Typing {
  #line;
  #room;
  #words;
  #typists = new Typists();
  #timer = null;
  #saidAt = -Infinity;
  #shown = "";
  #now;

  constructor(line, { room, words }, now = () => performance.now()) {
    this.#line = line;
    this.#room = room;
    this.#words = words;
    this.#now = now;
  }

  /** The person at this page is writing. */
  say() {
    if (this.#room.status !== "joined" || this.#now() - this.#saidAt < SAY_EVERY_MS) return;
    this.#saidAt = this.#now();
    this.#room.signal("typing", {});
  }

  /** What was being written is sent; the next letter counts anew. */
  rest() {
    this.#saidAt = -Infinity;
  }

  /** Somebody else is writing. */
  hear(person) {
    this.#typists.hear(person, this.#now());
    this.#show();
  }

  /** Somebody has sent what was being written. */
  forget(id) {
    this.#typists.forget(id);
    this.#show();
  }

  #show() {
    clearTimeout(this.#timer);
    const names = this.#typists.names(this.#now());
    this.#fill(this.#sentence(names));
    if (names.length > 0) this.#timer = setTimeout(() => this.#show(), 1000);
  }

  /** What stands there already is left alone: a screen reader would read it out each time. */
  #fill(pieces) {
    const text = pieces.map((piece) => piece.textContent ?? piece).join("");
    if (text === this.#shown) return;
    this.#shown = text;
    this.#line.replaceChildren(...pieces);
  }

  #sentence(names) {
    if (names.length === 0) return [];
    if (names.length > NAMED) return [this.#words.say("typing.many")];
    return this.#words.pieces("typing", { n: names.length, names: this.#words.list(names) });
  }
}
