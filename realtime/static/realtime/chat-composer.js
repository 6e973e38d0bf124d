/** Where one writes: Enter sends, Shift and Enter begins a new line, the box grows with the text, a reload loses none of it. */
export class Composer {
  #form;
  #box;
  #draft;
  #mayNot = () => false;

  /**
   * @param {HTMLFormElement} form
   * @param {import("./chat-draft.js").Draft} draft
   * @param {{send: (text: string) => void, type: () => void, mayNot?: () => boolean}} tell  mayNot: it is not one's turn
   */
  constructor(form, draft, { send, type, mayNot }) {
    if (mayNot) this.#mayNot = mayNot;
    this.#form = form;
    this.#draft = draft;
    this.#box = form.querySelector("textarea");
    this.#box.value ||= draft.text;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send(send);
    });
    this.#box.addEventListener("keydown", (event) => {
      if (!isSendKey(event)) return;
      event.preventDefault();
      this.#send(send);
    });
    this.#box.addEventListener("input", () => {
      this.#fit();
      this.#draft.text = this.#box.value;
      if (this.#box.value.trim()) type();
    });
  }

  set isAllowed(can) {
    this.#form.hidden = !can;
    if (can) this.#fit();
  }

  #send(send) {
    const text = this.#box.value.trim();
    if (!text || this.#mayNot()) return;
    this.#box.value = "";
    this.#draft.text = "";
    this.#fit();
    send(text);
    this.#box.focus();
  }

  #fit() {
    this.#box.style.height = "auto";
    this.#box.style.height = `${this.#box.scrollHeight + this.#box.offsetHeight - this.#box.clientHeight}px`;
  }
}

/** Enter alone; not the Enter that picks a word in an input method (which Safari reports with key code 229). */
function isSendKey(event) {
  return event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229;
}
