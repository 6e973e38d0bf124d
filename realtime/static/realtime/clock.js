/** Time as the client sees it: what o'clock, and one-shot timers that are cancelled by calling what they returned. */

/** @typedef {() => void} Cancel */

export class Clock {
  #now;
  #setTimeout;
  #clearTimeout;

  /**
   * @param {object} [options]
   * @param {() => number} [options.now]  milliseconds since the epoch
   * @param {(callback: () => void, ms: number) => any} [options.setTimeout]
   * @param {(timer: any) => void} [options.clearTimeout]
   */
  constructor({ now, setTimeout, clearTimeout } = {}) {
    this.#now = now ?? (() => Date.now());
    this.#setTimeout = setTimeout ?? ((callback, ms) => globalThis.setTimeout(callback, ms));
    this.#clearTimeout = clearTimeout ?? ((timer) => globalThis.clearTimeout(timer));
  }

  now() {
    return this.#now();
  }

  /**
   * Call back once, `ms` from now.
   * @param {number} ms
   * @param {() => void} callback
   * @returns {Cancel}
   */
  after(ms, callback) {
    const timer = this.#setTimeout(callback, Math.max(0, ms));
    return () => this.#clearTimeout(timer);
  }
}
