/**
 * The dialog in which people take back what they said, and moderators deal with messages and with people. Who may do what is
 * the server's to say: here it only decides what is shown.
 */
export class Moderator {
  #element;
  #page;
  #dialog;
  #can;
  /** What the dialog is about: {event, person}, either of which may be null. */
  #matter = { event: null, person: null };

  /**
   * @param {Element} element the room's element
   * @param {object} page  the RoomPage of page-boot.js
   */
  constructor(element, page) {
    this.#element = element;
    this.#page = page;
    this.#dialog = element.querySelector("[data-rt-moderate]");
    for (const type of ["joined", "can"]) page.room.addEventListener(type, () => this.#allow(page.room.can));
    page.room.addEventListener("ended", () => this.#allow([]));
    this.#dialog?.addEventListener("click", (click) => this.#clicked(click));
    this.#allow(page.snapshot.can ?? []);
  }

  /** Whether one may deal with this person here: with everybody but oneself, as a moderator. */
  dealsWith(person) {
    return this.#moderates && Boolean(person) && person.id !== this.#you;
  }

  /** Open the dialog, for a person. */
  about(person) {
    this.#open({ event: null, person });
  }

  /** Open the dialog, for an event, and for whoever said it. */
  aboutEvent(event) {
    this.#open({ event, person: event.by });
  }

  get #moderates() {
    return Boolean(this.#dialog) && this.#can.includes("moderate");
  }

  get #you() {
    return (this.#page.room.you ?? this.#page.snapshot.you)?.id;
  }

  #allow(can) {
    this.#can = can;
    this.#element.classList.toggle("rt-moderates", this.#moderates);
    this.#element.classList.toggle("rt-acts", Boolean(this.#dialog) && can.includes("act"));
  }

  #open({ event, person }) {
    const isMine = person !== null && person.id === this.#you;
    this.#matter = { event, person };
    this.#part("about").textContent = person?.name ?? this.#page.words.say("announcement");
    const text = typeof event?.data.text === "string" ? event.data.text : "";
    this.#part("quote").textContent = text;
    this.#part("quote").hidden = !text;
    this.#part("of-message").hidden = !event || event.removed === true || !(isMine || this.#moderates);
    this.#part("of-person").hidden = !this.dealsWith(person);
    this.#part("moderate-said").textContent = "";
    this.#part("done").textContent = "";
    this.#dialog.showModal();
  }

  #clicked({ target }) {
    const deed = target.closest("[data-rt-deed]")?.dataset.rtDeed;
    if (deed === "close" || target === this.#dialog) this.#dialog.close();
    else if (deed) this.#carryOut(deed);
  }

  async #carryOut(deed) {
    const { words } = this.#page;
    const { person } = this.#matter;
    this.#busy(true);
    try {
      await this.#ask(deed);
      this.#dialog.close();
      this.#part("done").replaceChildren(...words.pieces(`done.${deed}`, { name: words.list([person?.name ?? ""]) }));
      this.#part("reason").value = "";
    } catch (refusal) {
      this.#part("moderate-said").textContent = words.refusal(refusal);
    } finally {
      this.#busy(false);
    }
  }

  #ask(deed) {
    const { room } = this.#page;
    const { event, person } = this.#matter;
    if (deed === "remove") return room.remove(event.seq);
    if (deed !== "mute" && deed !== "ban") return room[deed](person.id);
    const { value: seconds } = this.#part("seconds");
    const reason = this.#part("reason").value.trim();
    return room[deed](person.id, { ...(seconds && { seconds: Number(seconds) }), ...(reason && { reason }) });
  }

  #busy(is) {
    this.#dialog.ariaBusy = String(is);
    for (const button of this.#dialog.querySelectorAll("[data-rt-deed]:not([data-rt-deed=close])")) button.disabled = is;
  }

  #part(name) {
    return this.#element.querySelector(`[data-rt-${name}]`);
  }
}
