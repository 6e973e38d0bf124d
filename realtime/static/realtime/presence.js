/**
 * Who is in a room now, by person and not by tab. Fires "change".
 *
 * Speaks Phoenix's presence: a state, then diffs, each meta known by its `phx_ref`. In a large room only the number travels
 * (`listed` is false, `people` empty) until a state says that the list is back. Keys come from the server and may be any
 * string, `__proto__` too, so everything is kept in Maps.
 */

import { isObject, isSeq } from "./codec/shapes.js";

/** @typedef {import("./codec/shapes.js").Person} Person */
/** @typedef {{[name: string]: unknown}} Payload */

/** Diffs that may come before the state; a server that sends more than this has lost its way. */
const MAX_EARLY_DIFFS = 100;

const byName = new Intl.Collator(undefined, { sensitivity: "base", numeric: true });

export class Presence extends EventTarget {
  /** @type {Map<string, Map<string, string>>} person id -> phx_ref -> name */
  #metas = new Map();
  /** @type {readonly Person[] | null} the sorted list, made when somebody asks */
  #people = null;
  /** @type {number | null} the number alone, in a room too large for a list */
  #number = null;
  /** @type {Payload[] | null} what came before the state; null once there is a state */
  #early = [];

  /** Everybody here, by name. @returns {readonly Person[]} */
  get people() {
    this.#people ??= Object.freeze(sorted(this.#metas));
    return this.#people;
  }

  get count() {
    return this.#number ?? this.#metas.size;
  }

  /** False when only the number travels. */
  get listed() {
    return this.#number === null;
  }

  /**
   * Take in one presence frame.
   * @param {string} event
   * @param {Payload} payload
   */
  receive(event, payload) {
    if (event === "presence_state") this.#replace(payload);
    else if (event === "presence_diff") this.#diff(payload);
    else if (event === "presence_count") this.#countOnly(payload.count);
  }

  /** A new subscription: what is shown stays until its own state arrives; diffs of the time between wait for it. */
  expectState() {
    this.#early ??= [];
  }

  /** Nobody can be seen from here any more. */
  clear() {
    this.#metas = new Map();
    this.#number = null;
    this.#early = [];
    this.#changed();
  }

  /** @param {Payload} state */
  #replace(state) {
    this.#metas = new Map();
    this.#number = null;
    this.#join(state);
    for (const diff of this.#early ?? []) this.#apply(diff);
    this.#early = null;
    this.#changed();
  }

  /** @param {Payload} diff */
  #diff(diff) {
    if (!this.listed) return;
    if (this.#early !== null) {
      if (this.#early.length < MAX_EARLY_DIFFS) this.#early.push(diff);
      return;
    }
    this.#apply(diff);
    this.#changed();
  }

  /** @param {unknown} count */
  #countOnly(count) {
    if (!isSeq(count)) return;
    this.#metas = new Map();
    this.#number = count;
    this.#early = [];
    this.#changed();
  }

  /** Joins first: a person whose meta was replaced never leaves in between. @param {Payload} diff */
  #apply({ joins, leaves }) {
    if (isObject(joins)) this.#join(joins);
    if (isObject(leaves)) this.#leave(leaves);
  }

  /** @param {Payload} joins */
  #join(joins) {
    for (const [id, ref, name] of eachMeta(joins)) {
      const metas = this.#metas.get(id) ?? new Map();
      this.#metas.set(id, metas.set(ref, name));
    }
  }

  /** @param {Payload} leaves */
  #leave(leaves) {
    for (const [id, ref] of eachMeta(leaves)) {
      const metas = this.#metas.get(id);
      metas?.delete(ref);
      if (metas?.size === 0) this.#metas.delete(id);
    }
  }

  #changed() {
    this.#people = null;
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * @param {Payload} people
 * @returns {Generator<[id: string, ref: string, name: string]>}
 */
function* eachMeta(people) {
  for (const [id, entry] of Object.entries(people)) {
    if (!isObject(entry) || !Array.isArray(entry.metas)) continue;
    for (const meta of entry.metas) {
      if (!isObject(meta) || typeof meta.phx_ref !== "string") continue;
      yield [id, meta.phx_ref, typeof meta.name === "string" ? meta.name : id];
    }
  }
}

/** @param {Map<string, Map<string, string>>} metas */
function sorted(metas) {
  const people = [...metas].map(([id, refs]) => ({ id, name: [...refs.values()].at(-1) ?? id }));
  return people.sort((a, b) => byName.compare(a.name, b.name) || (a.id < b.id ? -1 : 1));
}
