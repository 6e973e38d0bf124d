/**
 * The lines on the page: a stretch of the room's log in `seq` order, each event once, whatever order they come in.
 */
export class Lines {
  #list;
  #maker;
  #lines;
  #gap = false;

  /**
   * @param {Element} list may hold lines that the server rendered
   * @param {import("./chat-line.js").LineMaker} maker
   */
  constructor(list, maker) {
    this.#list = list;
    this.#maker = maker;
    this.#lines = [...list.children].map((node) => ({ node, event: maker.read(node) }));
    this.#lines.forEach(({ node, event }, index) => {
      maker.enliven(node, event);
      this.#arrange(index);
    });
  }

  get size() {
    return this.#lines.length;
  }

  /** The elements, oldest first. */
  get nodes() {
    return this.#lines.map(({ node }) => node);
  }

  /** The seq of the oldest line. */
  get first() {
    return this.#lines[0]?.event.seq;
  }

  /** The seq of the newest line. */
  get last() {
    return this.#lines.at(-1)?.event.seq;
  }

  /** When this person last said something that is on the page. */
  lastOf(id) {
    return this.#lines.findLast(({ event }) => event.by && event.by.id === id)?.event.at;
  }

  /** The event of the line with this seq, if there is one. */
  event(seq) {
    return this.#lines.find(({ event }) => event.seq === seq)?.event;
  }

  /** Put events where they belong. Returns those that were not there. */
  add(events) {
    return events.filter((event) => this.#insert(event));
  }

  /** The next line to come does not follow on the last one: say so above it. */
  markGap() {
    this.#gap = this.size > 0;
  }

  /** What this line said was taken away. */
  remove(seq) {
    const line = this.#lines.find(({ event }) => event.seq === seq);
    if (!line) return;
    line.event = { ...line.event, data: {}, removed: true };
    this.#maker.say(line.node, line.event);
  }

  dropOldest(count) {
    this.#drop(0, count);
  }

  dropNewest(count) {
    this.#drop(Math.max(0, this.size - count), count);
  }

  /** Drop the lines up to and with this seq. */
  dropThrough(seq) {
    this.#drop(0, this.#lines.filter(({ event }) => event.seq <= seq).length);
  }

  clear() {
    this.#drop(0, this.size);
    this.#gap = false;
  }

  #insert(event) {
    let index = this.size;
    while (index > 0 && this.#lines[index - 1].event.seq > event.seq) index -= 1;
    if (this.#lines[index - 1]?.event.seq === event.seq) return false;

    const node = this.#maker.make(event);
    if (index === this.size) this.#showGap(node);
    this.#list.insertBefore(node, this.#lines[index]?.node ?? null);
    this.#lines.splice(index, 0, { node, event });
    this.#arrange(index);
    this.#arrange(index + 1);
    return true;
  }

  #showGap(node) {
    node.querySelector("[data-rt-gap]").hidden = !this.#gap;
    this.#gap = false;
  }

  #drop(from, count) {
    for (const { node } of this.#lines.splice(from, count)) node.remove();
    this.#arrange(from);
  }

  #arrange(index) {
    const line = this.#lines[index];
    if (line) this.#maker.arrange(line.node, line.event, this.#lines[index - 1]?.event ?? null);
  }
}
