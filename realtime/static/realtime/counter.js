/**
 * The counter's page. What one presses shows at once; what arrives from the room makes it true.
 *
 * One command is under way at a time, and presses that come meanwhile go together in the next: a person who taps
 * fast, or offline, costs the room a few events and not one for each tap.
 */

import { Tally } from "./counter-tally.js";

/**
 * @param {Element} element
 * @param {object} page  the RoomPage of page-boot.js
 */
export function mount(element, page) {
  new Counter(element, page);
}

class Counter {
  #page;
  #tally;
  #value;
  #notice;
  #underWay = 0;

  constructor(element, page) {
    this.#page = page;
    this.#tally = new Tally(page.snapshot.state.value, page.snapshot.seq);
    this.#value = element.querySelector("[data-rt-value]");
    this.#notice = element.querySelector("[data-rt-notice]");
    this.#listen(element, page.room);
    for (const { key, name, data } of page.room.pending) if (name === "add") this.#deliver({ key, by: data.by });
    this.#show();
  }

  #listen(element, room) {
    const steps = element.querySelector("[data-rt-steps]");
    const readonly = element.querySelector("[data-rt-readonly]");
    const allow = (can) => {
      steps.hidden = !can;
      readonly.hidden = can;
    };
    allow(this.#page.snapshot.can.includes("act"));

    steps.addEventListener("click", ({ target }) => {
      const step = target.closest("[data-rt-step]");
      if (step) this.#press(Number(step.dataset.rtStep));
    });
    room.addEventListener("joined", () => {
      this.#tally.reset(room.state.value, room.stateSeq);
      allow(room.can.includes("act"));
      this.#show();
    });
    room.addEventListener("can", () => allow(room.can.includes("act")));
    room.addEventListener("ended", () => allow(false));
    room.on("added", (event) => {
      this.#tally.hear(event);
      this.#show();
    });
    addEventListener("pagehide", () => this.#send());
  }

  #press(by) {
    this.#tally.press(by);
    this.#show();
    if (!this.#underWay) this.#send();
  }

  #send() {
    const command = this.#tally.take();
    if (command) this.#deliver(command);
  }

  async #deliver({ key, by }) {
    this.#tally.begin(key, by);
    this.#underWay += 1;
    try {
      const { seq } = await this.#page.room.send("add", { by }, { key });
      this.#tally.confirm(key, seq);
      this.#say("");
    } catch (refusal) {
      this.#tally.fail(key);
      this.#say(this.#page.words.refusal(refusal));
    }
    this.#underWay -= 1;
    this.#show();
    if (!this.#underWay) this.#send();
  }

  #show() {
    this.#value.textContent = this.#tally.value.toLocaleString(document.documentElement.lang || undefined);
    this.#value.classList.toggle("rt-unsure", this.#tally.isUnsure);
  }

  #say(sentence) {
    this.#notice.textContent = sentence;
  }
}
