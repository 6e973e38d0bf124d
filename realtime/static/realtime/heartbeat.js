/**
 * Keeps one line honest: a beat every 25 s or so, and if nothing at all is heard within 10 s after it, the line is dead.
 *
 * Any frame counts as a sign of life, so a long catch-up on a slow line is not mistaken for silence. Hearing a frame costs
 * one assignment, not a timer.
 */

/** @typedef {import("./clock.js").Clock} Clock */

export class Heartbeat {
  #clock;
  #random;
  #beat;
  #dead;
  #everyMs;
  #patienceMs;
  #waiting = false;
  #heard = false;
  /** @type {import("./clock.js").Cancel | null} */
  #cancel = null;

  /**
   * @param {object} options
   * @param {Clock} options.clock
   * @param {() => number} options.random
   * @param {() => void} options.beat  send one
   * @param {() => void} options.dead  nobody answered
   * @param {number} [options.everyMs]
   * @param {number} [options.patienceMs]
   */
  constructor({ clock, random, beat, dead, everyMs = 25_000, patienceMs = 10_000 }) {
    this.#clock = clock;
    this.#random = random;
    this.#beat = beat;
    this.#dead = dead;
    this.#everyMs = everyMs;
    this.#patienceMs = patienceMs;
  }

  start() {
    this.#rest(0);
  }

  stop() {
    this.#cancel?.();
    this.#cancel = null;
    this.#waiting = false;
  }

  /** Something came in. */
  heard() {
    this.#heard = true;
  }

  /** Beat now instead of when it is due: the page is back and wants to know. */
  probe() {
    if (this.#waiting) return;
    this.#cancel?.();
    this.#ask();
  }

  /** @param {number} spentMs  how much of the interval has gone already */
  #rest(spentMs) {
    this.#waiting = false;
    const spread = 0.9 + 0.2 * this.#random();
    this.#cancel = this.#clock.after(this.#everyMs * spread - spentMs, () => this.#ask());
  }

  #ask() {
    this.#waiting = true;
    this.#heard = false;
    this.#cancel = this.#clock.after(this.#patienceMs, () => this.#judge());
    this.#beat();
  }

  #judge() {
    if (this.#heard) this.#rest(this.#patienceMs);
    else this.#dead();
  }
}
