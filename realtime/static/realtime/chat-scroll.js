/**
 * Where the reader is. Promises: at the bottom, one stays there as lines come and the window changes; elsewhere,
 * what one is reading does not move.
 */
export class Scroll {
  #box;
  #isStuck = true;
  #lastTop = 0;

  /**
   * @param {HTMLElement} box the element that scrolls
   * @param {() => void} onMove called when the reader has moved
   */
  constructor(box, onMove) {
    this.#box = box;
    box.addEventListener("scroll", () => {
      this.#moved();
      onMove();
    }, { passive: true });
    const observer = new ResizeObserver(() => this.#isStuck && this.toBottom());
    observer.observe(box);
    for (const child of box.children) observer.observe(child);
  }

  /** Whether the reader is at the newest line, and wants to stay there. */
  get isAtBottom() {
    return this.#isStuck;
  }

  get isNearTop() {
    return this.#box.scrollTop < this.#box.clientHeight;
  }

  get isNearBottom() {
    return this.#below < this.#box.clientHeight;
  }

  /** Whether more lies below what is shown than above. */
  get isInUpperHalf() {
    return this.#box.scrollTop < this.#below;
  }

  toBottom() {
    this.#isStuck = true;
    this.#box.scrollTop = this.#box.scrollHeight;
    this.#lastTop = this.#box.scrollTop;
  }

  /**
   * Change the lines and leave the one at the upper edge where it is.
   * @param {Element[]} nodes the lines, oldest first
   * @param {() => void} change
   */
  keep(nodes, change) {
    if (this.#isStuck) {
      change();
      return this.toBottom();
    }
    const edge = this.#box.getBoundingClientRect().top;
    const anchor = nodes.find((node) => node.getBoundingClientRect().bottom > edge);
    const before = anchor?.getBoundingClientRect().top;
    change();
    if (anchor?.isConnected) this.#box.scrollTop += anchor.getBoundingClientRect().top - before;
  }

  /** Only going up means that the reader has left the bottom; lines that grow below do not. */
  #moved() {
    if (this.#below <= 4) this.#isStuck = true;
    else if (this.#box.scrollTop < this.#lastTop) this.#isStuck = false;
    this.#lastTop = this.#box.scrollTop;
  }

  get #below() {
    return this.#box.scrollHeight - this.#box.clientHeight - this.#box.scrollTop;
  }
}
