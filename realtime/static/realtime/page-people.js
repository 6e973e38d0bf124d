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
    page.room.addEventListener("can", () => this.#show());
  }

  #show() {
    const { count, people, listed } = this.#page.room.presence;
    if (this.#count) this.#count.textContent = count ? this.#page.words.say("here", { n: count }) : "";
    if (!this.#names) return;
    const focused = this.#names.contains(document.activeElement) ? document.activeElement.dataset.person : undefined;
    this.#names.replaceChildren(...(listed ? people.map((person) => this.#item(person)) : []));
    [...this.#names.querySelectorAll("[data-person]")].find(({ dataset }) => dataset.person === focused)?.focus();
  }

  #item(person) {
    const item = document.createElement("li");
    item.className = `rt-name rt-hue-${hueOf(person.id)}`;
    item.dir = "auto";
    if (this.#page.moderator.dealsWith(person)) item.append(this.#button(person));
    else item.textContent = person.name;
    return item;
  }

  #button(person) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "rt-person";
    button.ariaHasPopup = "dialog";
    button.dataset.person = person.id;
    button.textContent = person.name;
    button.addEventListener("click", () => this.#page.moderator.about(person));
    return button;
  }
}

/** One of a few colours, the same as the server's for this person. */
export function hueOf(id) {
  return new TextEncoder().encode(id).reduce((sum, byte) => sum + byte, 0) % 8;
}
