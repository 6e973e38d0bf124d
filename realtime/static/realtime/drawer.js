/**
 * What of an outbox outlives the page: one entry of sessionStorage per command, under the person and the room, so that a
 * reload in the same tab finds what was not acknowledged, and nobody sends the words of the person who sat here before.
 *
 * A storage that is full, forbidden or absent costs the survival, never the sending.
 */

import { isObject } from "./codec/shapes.js";

/** @typedef {Pick<Storage, "length" | "key" | "getItem" | "setItem" | "removeItem">} TabStorage */
/** @typedef {{key: string, name: string, data: {[name: string]: any}, at: string}} Command */

/** A tab restored after a longer time must not speak up with what was typed then. */
const MAX_AGE_MS = 24 * 60 * 60 * 1000;

export class Drawer {
  #storage;
  #prefix;
  #next = 0;

  /**
   * @param {TabStorage | null} storage
   * @param {string} personId
   * @param {string} slug
   */
  constructor(storage, personId, slug) {
    this.#storage = storage;
    this.#prefix = `realtime:outbox:${encodeURIComponent(personId)}:${encodeURIComponent(slug)}:`;
  }

  /**
   * What is kept, oldest first.
   * @param {number} now  milliseconds since the epoch
   * @returns {Command[]}
   */
  load(now) {
    const found = this.#keys().flatMap((name) => this.#read(name, now) ?? []);
    found.sort((a, b) => a.n - b.n);
    this.#next = (found.at(-1)?.n ?? -1) + 1;
    return found.map(({ n, ...command }) => command);
  }

  /** @param {Command} command */
  put({ key, name, data, at }) {
    const text = JSON.stringify({ n: this.#next++, name, data, at });
    this.#try((storage) => storage.setItem(this.#prefix + key, text));
  }

  /** @param {string} key */
  remove(key) {
    this.#try((storage) => storage.removeItem(this.#prefix + key));
  }

  #keys() {
    return (
      this.#try((storage) => {
        const names = Array.from({ length: storage.length }, (_, index) => storage.key(index) ?? "");
        return names.filter((name) => name.startsWith(this.#prefix));
      }) ?? []
    );
  }

  /**
   * @param {string} name
   * @param {number} now
   * @returns {(Command & {n: number}) | null}
   */
  #read(name, now) {
    const entry = this.#try((storage) => JSON.parse(storage.getItem(name) ?? "null"));
    const key = name.slice(this.#prefix.length);
    const fresh = isObject(entry) && now - Date.parse(String(entry.at)) < MAX_AGE_MS;
    if (fresh && typeof entry.n === "number" && typeof entry.name === "string" && isObject(entry.data)) {
      return { n: entry.n, key, name: entry.name, data: entry.data, at: String(entry.at) };
    }
    this.remove(key);
    return null;
  }

  /**
   * @template T
   * @param {(storage: TabStorage) => T} action
   * @returns {T | null}
   */
  #try(action) {
    try {
      return this.#storage && action(this.#storage);
    } catch {
      return null;
    }
  }
}
