/** Who is here: the number, and the names where they travel. */
export class People {
  #page;
  #count;
  #names;

  /**
   * @param {Element} element the room's element
   * @param {object} page  the RoomPage of page-boot.js
   */
  constructor(element, page) {
    this.#page = page;
    this.#count = element.querySelector("[data-rt-count]");
    this.#names = element.querySelector("[data-rt-people]");
    page.room.presence.addEventListener("change", () => this.#show());
  }

  #show() {
    const { count, people, listed } = this.#page.room.presence;
    if (this.#count) this.#count.textContent = this.#page.words.say("here", { n: count });
    if (this.#names) this.#names.replaceChildren(...(listed ? people.map(nameOf) : []));
  }
}

function nameOf(person) {
  const item = document.createElement("li");
  item.className = `rt-name rt-hue-${hueOf(person.id)}`;
  item.dir = "auto";
  item.textContent = person.name;
  return item;
}

/** One of a few colours, the same as the server's for this person. */
export function hueOf(id) {
  return new TextEncoder().encode(id).reduce((sum, byte) => sum + byte, 0) % 8;
}
