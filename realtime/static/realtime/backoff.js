/**
 * How long to wait before the next try: full jitter, `random() * min(maxMs, baseMs * 2^n)`, so that many clients that lost
 * the same server do not come back in one wave.
 */
export class Backoff {
  #random;
  #baseMs;
  #maxMs;
  #tries = 0;

  /** @param {{random?: () => number, baseMs?: number, maxMs?: number}} [options] */
  constructor({ random = Math.random, baseMs = 500, maxMs = 30_000 } = {}) {
    this.#random = random;
    this.#baseMs = baseMs;
    this.#maxMs = maxMs;
  }

  /** How many waits were handed out since the last reset. */
  get tries() {
    return this.#tries;
  }

  /** The next wait, in milliseconds. */
  next() {
    const ceiling = Math.min(this.#maxMs, this.#baseMs * 2 ** this.#tries);
    this.#tries += 1;
    return this.#random() * ceiling;
  }

  reset() {
    this.#tries = 0;
  }
}
