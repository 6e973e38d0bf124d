/**
 * The order of one room's events as this client sees it: each is delivered once, the next one after the last.
 *
 * Holds the newest seq that was delivered. Of an arrival it says `next` (delivered), `stale` (had it) or `early` (something
 * before it is missing: nothing is delivered until somebody has asked for what lies between). Constant work per event.
 */

/** @typedef {import("./codec/shapes.js").LoggedEvent} LoggedEvent */
/** @typedef {import("./codec/shapes.js").Welcome} Welcome */

export class Feed {
  #deliver;
  /** @type {number | null} */
  #seq;

  /**
   * @param {(event: LoggedEvent) => void} deliver
   * @param {number | null} [since]  the newest seq that the page shows already
   */
  constructor(deliver, since = null) {
    this.#deliver = deliver;
    this.#seq = since;
  }

  /** The newest seq delivered; null: no place yet, whatever comes first is next. */
  get seq() {
    return this.#seq;
  }

  /**
   * Deliver this event if it is its turn.
   * @param {LoggedEvent} event
   * @returns {"next" | "stale" | "early"}
   */
  take(event) {
    const place = this.#place(event.seq);
    if (place === "next") {
      this.#seq = event.seq;
      this.#deliver(event);
    }
    return place;
  }

  /**
   * Does this welcome go on where we are, without a hole? If not, because part of the log is gone or the room has begun
   * anew, lose the place: what the welcome brings is then the next.
   * @param {Welcome} welcome
   */
  continues({ complete, more, seq, events }) {
    if (this.#seq === null) return true;
    let last = this.#seq;
    let whole = complete && seq >= last;
    for (const event of events) {
      whole &&= event.seq <= last + 1;
      last = Math.max(last, event.seq);
    }
    whole &&= more || last >= seq;
    if (!whole) this.#seq = null;
    return whole;
  }

  /**
   * Deliver what a welcome brings, and stand where it says. A hole within it was announced by `continues`.
   * @param {Welcome} welcome
   */
  catchUp({ events, more, seq }) {
    for (const event of events) {
      if (this.#place(event.seq) === "early") this.#seq = event.seq - 1;
      this.take(event);
    }
    if (!more) this.#seq = seq;
  }

  /** @param {number} seq */
  #place(seq) {
    if (this.#seq === null || seq === this.#seq + 1) return "next";
    return seq <= this.#seq ? "stale" : "early";
  }
}
