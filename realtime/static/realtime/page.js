/**
 * Whether the page around the client is seen, has a network, and is there at all (or put away by a navigation, perhaps to
 * come back whole from the back/forward cache). Fires "change". Without a document or a window, as in a worker, all is well.
 *
 * Only the `offline` event is believed, not `navigator.onLine` at the start: that is false on machines which reach a server
 * on their own loopback well enough.
 */
export class Page extends EventTarget {
  #document;
  #hidden;
  #online = true;
  #away = false;

  /** @param {{document?: Document | null, window?: Window | null}} [surroundings] */
  constructor({ document, window } = {}) {
    super();
    this.#document = document;
    this.#hidden = this.#isHidden();
    document?.addEventListener("visibilitychange", () => this.#note({}));
    window?.addEventListener("offline", () => this.#note({ online: false }));
    window?.addEventListener("online", () => this.#note({ online: true }));
    window?.addEventListener("pagehide", () => this.#note({ away: true }));
    window?.addEventListener("pageshow", () => this.#note({ away: false }));
  }

  get hidden() {
    return this.#hidden;
  }

  get online() {
    return this.#online;
  }

  /** Between `pagehide` and `pageshow`. */
  get away() {
    return this.#away;
  }

  /** @param {{online?: boolean, away?: boolean}} facts */
  #note({ online = this.#online, away = this.#away }) {
    const hidden = this.#isHidden();
    if (online === this.#online && away === this.#away && hidden === this.#hidden) return;
    this.#online = online;
    this.#away = away;
    this.#hidden = hidden;
    this.dispatchEvent(new Event("change"));
  }

  #isHidden() {
    return this.#document?.visibilityState === "hidden";
  }
}
