/** Where one writes: Enter sends, Shift and Enter begins a new line, and the box grows with the text. */
export class Composer {
  #form;
  #box;

  /**
   * @param {HTMLFormElement} form
   * @param {{send: (text: string) => void, type: () => void}} tell
   */
  constructor(form, { send, type }) {
    this.#form = form;
    this.#box = form.querySelector("textarea");
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
      if (this.#box.value.trim()) type();
    });
  }

  set isAllowed(can) {
    this.#form.hidden = !can;
  }

  #send(send) {
    const text = this.#box.value.trim();
    if (!text) return;
    this.#box.value = "";
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
