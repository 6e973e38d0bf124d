/**
 * Slow mode: says how often one may send, and, after that, when again. It goes by this machine's clock and is only kind: it is
 * the server that holds people to it.
 */
export class Slow {
  #note;
  #notice;
  #button;
  #words;
  #clock;
  #seconds = null;
  #actedAt = -Infinity;
  #isTold = false;
  #timer = null;

  /**
   * @param {HTMLElement | null} note  of a site's own template, perhaps none
   * @param {HTMLFormElement} form
   * @param {import("./page-words.js").Words} words
   * @param {object} [clock]
   */
  constructor(note, form, words, { now = Date.now, setTimeout = globalThis.setTimeout.bind(globalThis),
    clearTimeout = globalThis.clearTimeout.bind(globalThis) } = {}) {
    this.#note = note;
    this.#notice = form.querySelector("[data-rt-notice]");
    this.#button = form.querySelector(".rt-send");
    this.#words = words;
    this.#clock = { now, setTimeout, clearTimeout };
  }

  /** How long one has to wait from one message to the next; null where one need not. */
  set seconds(seconds) {
    this.#seconds = seconds;
    this.#show();
  }

  /** One's own message of this moment, in ms. What is ahead of this clock counts as of now. */
  acted(at) {
    if (at > this.#actedAt) this.#actedAt = Math.min(at, this.#clock.now());
    this.#show();
  }

  /** Whether it is not one's turn; who tries is told so. When it is stands in the note, which counts down. */
  holds() {
    const wait = this.#wait();
    const name = this.#note && this.#words.has("slow.early") ? "slow.early" : "slow.wait";
    if (wait) this.#tell(this.#words.say(name, { time: this.#words.duration(wait) }));
    return wait > 0;
  }

  /** The seconds until it is one's turn. */
  #wait() {
    const wait = this.#seconds === null ? 0 : this.#seconds - (this.#clock.now() - this.#actedAt) / 1000;
    return wait > 0 ? wait : 0;
  }

  #show() {
    this.#clock.clearTimeout(this.#timer);
    const wait = this.#wait();
    if (this.#note) {
      this.#note.hidden = this.#seconds === null;
      const [name, time] = wait ? ["slow.wait", wait] : ["slow", this.#seconds ?? 0];
      this.#note.textContent = this.#words.say(name, { time: this.#words.duration(time) });
    }
    if (this.#button) this.#button.ariaDisabled = wait > 0 ? "true" : null;
    if (wait) this.#timer = this.#clock.setTimeout(() => this.#show(), 1000);
    else if (this.#isTold) this.#tell("");
  }

  #tell(sentence) {
    this.#isTold = sentence !== "";
    if (this.#notice) this.#notice.textContent = sentence;
  }
}
