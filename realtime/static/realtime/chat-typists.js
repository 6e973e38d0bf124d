/** Who is writing just now. Pure: the time is an argument. */
export class Typists {
  #heard = new Map();
  #forMs;

  /** @param {number} [forMs] how long one word of typing counts */
  constructor(forMs = 6000) {
    this.#forMs = forMs;
  }

  hear({ id, name }, now) {
    this.#heard.set(id, { name, until: now + this.#forMs });
  }

  /** This person has sent what was being written, or left. */
  forget(id) {
    this.#heard.delete(id);
  }

  /** Names, in the order in which they began. */
  names(now) {
    for (const [id, { until }] of this.#heard) if (until <= now) this.#heard.delete(id);
    return [...this.#heard.values()].map(({ name }) => name);
  }
}
