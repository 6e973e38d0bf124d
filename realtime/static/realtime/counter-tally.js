import { newKey } from "./key.js";

/** Most that one command may add or take away; the server refuses more. */
const MOST = 1000;

/**
 * A counter as one page sees it: what the room said, plus what this page has asked for and not yet heard back.
 * Pure: no clock, no network. Each command counts exactly once, whether its event or its reply comes first.
 */
export class Tally {
  #known;
  #seq;
  #asked = new Map();
  #pressed = 0;
  #makeKey;

  /**
   * @param {number} value the room's value
   * @param {number} seq and the seq at which it stands
   * @param {() => string} [makeKey]
   */
  constructor(value, seq, makeKey = newKey) {
    this.#known = value;
    this.#seq = seq;
    this.#makeKey = makeKey;
  }

  /** What to show. */
  get value() {
    let sum = this.#known + this.#pressed;
    for (const { by } of this.#asked.values()) sum += by;
    return sum;
  }

  /** Whether something shown is not confirmed yet. */
  get isUnsure() {
    return this.#pressed !== 0 || this.#asked.size > 0;
  }

  /** A press that is not sent yet. */
  press(by) {
    this.#pressed += by;
  }

  /** The presses so far as one command, or null when they come to nothing. */
  take() {
    const by = Math.max(-MOST, Math.min(MOST, this.#pressed));
    if (by === 0) return null;
    const key = this.#makeKey();
    this.#pressed -= by;
    this.begin(key, by);
    return { key, by };
  }

  /** A command is on its way. */
  begin(key, by) {
    if (!this.#asked.has(key)) this.#asked.set(key, { by });
  }

  /** An event of the room. One that the known value already has in it only settles its command. */
  hear({ seq, key, data }) {
    this.#asked.delete(key);
    if (seq <= this.#seq) return;
    this.#known += data.by;
    this.#seq = seq;
  }

  /** The room has taken the command in as `seq`; it stays in the sum until the value has it. */
  confirm(key, seq) {
    const command = this.#asked.get(key);
    if (!command) return;
    if (seq <= this.#seq) this.#asked.delete(key);
    else command.seq = seq;
  }

  /** The room will not take the command in. */
  fail(key) {
    this.#asked.delete(key);
  }

  /** The room's own word: this value, at this seq. */
  reset(value, seq) {
    if (seq < this.#seq) return;
    this.#known = value;
    this.#seq = seq;
    for (const [key, command] of this.#asked) if (command.seq <= seq) this.#asked.delete(key);
  }
}
