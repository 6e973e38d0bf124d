/**
 * What one has written and not sent, kept for this tab across a reload: one text for each person and room.
 *
 * A storage that is full, forbidden or absent costs the draft, never the writing.
 */
export class Draft {
  #storage;
  #name;

  /**
   * @param {import("./drawer.js").TabStorage | null} storage
   * @param {string} personId
   * @param {string} slug
   */
  constructor(storage, personId, slug) {
    this.#storage = storage;
    this.#name = `realtime:draft:${encodeURIComponent(personId)}:${encodeURIComponent(slug)}`;
  }

  get text() {
    return this.#try((storage) => storage.getItem(this.#name)) ?? "";
  }

  set text(text) {
    this.#try((storage) => (text ? storage.setItem(this.#name, text) : storage.removeItem(this.#name)));
  }

  #try(action) {
    try {
      return this.#storage && action(this.#storage);
    } catch {
      return null;
    }
  }
}
