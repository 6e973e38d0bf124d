/**
 * Which stretch of the room's log is on the page. New lines come in at the bottom while the page is attached to the
 * newest one; older and newer ones are read back as the reader moves. Never more than `MOST_LINES` are kept: those
 * farthest from the reader go, and are read again when wanted.
 */

const PAGE = 50;
const MOST_LINES = 400;
const KEPT_LINES = 300;

export class History extends EventTarget {
  #room;
  #lines;
  #scroll;
  #oldest;
  #newest;
  #isComplete;
  #isAttached = true;
  #isLoading = false;
  #arrived = [];
  #timer = null;
  #unread = 0;
  #cleared = 0;
  #setTimeout;

  /**
   * @param {object} room
   * @param {import("./chat-lines.js").Lines} lines
   * @param {import("./chat-scroll.js").Scroll} scroll
   * @param {{seq: number, first: number, complete: boolean}} snapshot
   */
  constructor(room, lines, scroll, snapshot, { setTimeout = globalThis.setTimeout.bind(globalThis) } = {}) {
    super();
    this.#room = room;
    this.#lines = lines;
    this.#scroll = scroll;
    this.#oldest = snapshot.first;
    this.#newest = snapshot.seq;
    this.#isComplete = snapshot.complete;
    this.#setTimeout = setTimeout;
  }

  /** Whether nothing older is kept. */
  get isComplete() {
    return this.#isComplete;
  }

  get isAttached() {
    return this.#isAttached;
  }

  get isLoading() {
    return this.#isLoading;
  }

  /** How many lines of others came in below what the reader sees. */
  get unread() {
    return this.#unread;
  }

  /** A new event of the room. A burst of them is shown together. */
  receive(event, isMine) {
    if (!isMine && isSaid(event) && !this.#scroll.isAtBottom) this.#unread += 1;
    this.#arrived.push(event);
    if (this.#arrived.length > MOST_LINES) this.#flush();
    this.#timer ??= this.#setTimeout(() => this.#flush(), 16);
    if (!this.#isAttached) this.#changed();
  }

  /** The reader has moved: read on where an edge is near. */
  async move() {
    if (this.#isAttached && this.#scroll.isAtBottom) this.#unread = 0;
    this.#changed();
    if (this.#scroll.isNearTop && !this.#isComplete) await this.older();
    else if (this.#scroll.isNearBottom && !this.#isAttached) await this.#newer();
  }

  /** Read the page before the oldest line. */
  older() {
    if (this.#isComplete) return undefined;
    return this.#load({ before: this.#oldest, limit: PAGE }, (page) => {
      this.#oldest = page.events[0]?.seq ?? this.#oldest;
      this.#isComplete = page.complete || page.events.length === 0;
      this.#put(page.events);
    });
  }

  /** Go to the newest line, wherever the reader is. */
  async latest() {
    if (!this.#isAttached) await this.#load({ limit: PAGE }, (page) => this.#restart(page));
    this.#scroll.toBottom();
    this.#unread = 0;
    this.#changed();
  }

  /** What this event said was taken away. */
  remove(seq) {
    this.#arrived = this.#arrived.map((event) => (event.seq === seq ? { ...event, data: {}, removed: true } : event));
    this.#scroll.keep(this.#lines.nodes, () => this.#lines.remove(seq));
  }

  /** Events up to this seq have left the log. */
  clear(seq) {
    this.#cleared = seq;
    this.#scroll.keep(this.#lines.nodes, () => this.#lines.dropThrough(seq));
    this.#oldest = Math.max(this.#oldest, seq + 1);
    this.#isComplete ||= this.#oldest === seq + 1;
    this.#changed();
  }

  /** What is to come does not follow on what is here; or, where the room stands at an older `seq`, replaces it. */
  gap(seq) {
    this.#flush();
    if (seq >= this.#newest) return this.#lines.markGap();
    this.#lines.clear();
    this.#cleared = 0;
    this.#newest = seq;
    this.#isAttached = false;
    return this.latest();
  }

  #newer() {
    const before = this.#newest + 1 + PAGE;
    return this.#load({ before, limit: PAGE }, (page) => {
      const next = page.events.filter(({ seq }) => seq > this.#newest);
      if (next.length === 0) return this.#restart(page);
      this.#newest = next.at(-1).seq;
      this.#isAttached = this.#newest >= this.#room.seq;
      this.#put(next);
    });
  }

  #restart(page) {
    this.#lines.clear();
    this.#isAttached = true;
    this.#isComplete = page.complete;
    this.#oldest = page.events[0]?.seq ?? this.#oldest;
    this.#newest = page.events.at(-1)?.seq ?? this.#newest;
    this.#put(page.events);
  }

  async #load(range, use) {
    if (this.#isLoading) return;
    this.#isLoading = true;
    this.#changed();
    try {
      use(await this.#room.history(range));
    } catch (refusal) {
      if (!refusal?.code) throw refusal;
      this.dispatchEvent(new CustomEvent("refused", { detail: refusal }));
    } finally {
      this.#isLoading = false;
      this.#flush();
      this.#changed();
    }
  }

  #flush() {
    this.#timer = null;
    const arrived = this.#arrived;
    if (this.#isLoading && arrived.length <= MOST_LINES) return;
    this.#arrived = [];
    if (!this.#isAttached || arrived.length === 0) return;
    this.#newest = arrived.at(-1).seq;
    this.#put(arrived);
    this.#changed();
  }

  #put(events) {
    const said = events.filter((event) => event.seq > this.#cleared && isSaid(event));
    this.#scroll.keep(this.#lines.nodes, () => {
      this.#lines.add(said);
      this.#trim();
    });
  }

  #trim() {
    if (this.#lines.size <= MOST_LINES) return;
    const extra = this.#lines.size - KEPT_LINES;
    if (!this.#scroll.isAtBottom && this.#scroll.isInUpperHalf) {
      this.#lines.dropNewest(extra);
      this.#newest = this.#lines.last;
      this.#isAttached = false;
    } else {
      this.#lines.dropOldest(extra);
      this.#oldest = this.#lines.first;
      this.#isComplete = false;
    }
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** Whether an event has something to read, or had; the template tag has the same rule. */
function isSaid({ data, removed }) {
  return removed === true || typeof data.text === "string";
}
