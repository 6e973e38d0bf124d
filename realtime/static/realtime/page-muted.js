/** Says that one is muted, and until when, in place of what else is said to those who may not act. */
export class Muted {
  #element;
  #page;

  /**
   * @param {Element} element the room's element
   * @param {object} page  the RoomPage of page-boot.js
   */
  constructor(element, page) {
    this.#element = element;
    this.#page = page;
    for (const type of ["joined", "can"]) page.room.addEventListener(type, () => this.#show(page.room.muted));
    this.#show(page.snapshot.muted ?? null);
  }

  #show(muted) {
    const note = this.#element.querySelector("[data-rt-muted]");
    if (!note) return;
    const other = this.#element.querySelector("[data-rt-open]");
    note.hidden = !muted;
    if (muted) note.textContent = this.#page.words.until("refused.muted", muted.until);
    if (muted) other.hidden = true;
    else if (!this.#element.querySelector("[data-rt-closed]:not([hidden])")) other.hidden = false;
  }
}
