/**
 * One's own messages that the room has not told back yet: pending, perhaps delayed, then sent, or failed with a way to try
 * again. What is delayed or failed can be discarded.
 * Tried again they keep their key, so none is ever there twice.
 */

import { newKey } from "./key.js";

export class Outbox {
  #list;
  #page;
  #maker;
  #you;
  #lines = new Map();

  /**
   * @param {Element} list
   * @param {object} page  the RoomPage of page-boot.js
   * @param {import("./chat-line.js").LineMaker} maker
   * @param {() => {id: string, name: string}} you
   */
  constructor(list, page, maker, you) {
    this.#list = list;
    this.#page = page;
    this.#maker = maker;
    this.#you = you;
    page.room.addEventListener("delayed", ({ detail: { key, refusal } }) => {
      this.#show(key, "delayed", page.words.refusal(refusal));
    });
  }

  /** Send a text, and show it as pending at once. */
  send(text) {
    const message = { key: newKey(), text, at: new Date().toISOString() };
    this.#add(message);
    return this.#try(message);
  }

  /** Show what this tab had not got through before it was reloaded; the room sends it again by itself. */
  restore(pending, isKnown) {
    for (const { key, name, data, at } of pending) {
      if (name !== "message" || this.#lines.has(key) || isKnown(key)) continue;
      const message = { key, text: data.text, at: new Date(at).toISOString() };
      this.#add(message);
      this.#try(message);
    }
  }

  /** The room has told this message back. */
  settle(key) {
    this.#lines.get(key)?.remove();
    this.#lines.delete(key);
  }

  #discard(key) {
    this.settle(key);
    this.#page.room.discard(key);
  }

  async #try(message) {
    const { room } = this.#page;
    this.#show(message.key, "pending");
    try {
      const { seq } = await room.send("message", { text: message.text }, { key: message.key });
      // What was removed meanwhile has come without its key, or never will.
      if (seq <= room.seq) this.settle(message.key);
      else this.#show(message.key, "sent");
    } catch (refusal) {
      this.#show(message.key, "failed", this.#page.words.refusal(refusal));
    }
  }

  #add(message) {
    const { key, text, at } = message;
    const node = this.#maker.make({ key, at, name: "message", by: this.#you(), data: { text } });
    node.classList.add("rt-mine");
    node.querySelector("[data-rt-delivery]").hidden = false;
    node.querySelector("[data-rt-again]").addEventListener("click", () => this.#try(message));
    node.querySelector("[data-rt-discard]").addEventListener("click", () => this.#discard(key));
    this.#lines.set(key, node);
    this.#list.append(node);
  }

  #show(key, state, reason = "") {
    const node = this.#lines.get(key);
    if (!node) return;
    node.dataset.rtState = state;
    node.querySelector("[data-rt-delivery-text]").textContent = `${this.#page.words.say(state)} ${reason}`.trim();
    node.querySelector("[data-rt-again]").hidden = state !== "failed";
    node.querySelector("[data-rt-discard]").hidden = state !== "failed" && state !== "delayed";
  }
}
