/** The ends after which a room may be there again: what may help is to look, and a button offers it. */
const MAY_REOPEN = new Set(["room_closed"]);

/** What is said for a moment, of a trouble that is over. */
const GOOD_NEWS = new Set(["status.back", "status.reopened", "status.let_in"]);

/**
 * The connection in words. Calm: a drop that is over within a moment is not mentioned, and "connected" is said
 * only to those who were told that it was lost.
 */
export class Status {
  #element;
  #line;
  #button;
  #again;
  #page;
  #timers;
  #patienceMs;
  #timer = null;
  #shown = "";
  /** The name of the sentence that says why the room does not let us in for now, where there is one. */
  #refused = "";
  /** Why there is no connection for now, where the server has said so. */
  #reason = null;

  /**
   * @param {Element} element the room's element
   * @param {object} page  the RoomPage of page-boot.js
   * @param {object} [options]
   */
  constructor(element, page, { patienceMs = 1500, setTimeout = globalThis.setTimeout.bind(globalThis),
    clearTimeout = globalThis.clearTimeout.bind(globalThis) } = {}) {
    this.#element = element;
    this.#line = element.querySelector("[data-rt-status]");
    this.#button = element.querySelector("[data-rt-reconnect]");
    this.#again = element.querySelector("[data-rt-look-again]");
    this.#page = page;
    this.#timers = { setTimeout, clearTimeout };
    this.#patienceMs = patienceMs;
    if (!this.#line) return;

    page.socket.addEventListener("status", () => this.#look());
    page.socket.addEventListener("refusal", ({ detail }) => {
      this.#reason = detail.retryAfter === null ? null : detail;
    });
    page.room.addEventListener("status", () => this.#look());
    page.room.addEventListener("refused", ({ detail }) => this.#wait(detail));
    page.room.addEventListener("ended", ({ detail }) => this.#end(detail));
    page.room.addEventListener("joined", () => this.#opened());
    this.#button?.addEventListener("click", () => page.socket.connect());
    this.#again?.addEventListener("click", () => this.#lookAgain());
    this.#look();
  }

  #look() {
    const state = troubleOf(this.#page.socket.status, this.#page.room.status);
    if (state === null) return;
    const trouble = (state === "status.connecting" && this.#refused) || state;
    this.#timers.clearTimeout(this.#timer);
    if (trouble === this.#shown) {
      if (!trouble) this.#fade();
      return;
    }
    const isLost = this.#shown !== "" && this.#shown !== this.#refused;
    if (trouble) {
      this.#timer = this.#timers.setTimeout(() => this.#show(trouble), isLost ? 0 : this.#patienceMs);
    } else if (this.#shown) {
      this.#show(this.#refused ? "status.let_in" : "status.back");
      this.#fade();
    }
  }

  /** What the room answers is no drop that may be over within a moment: it is said at once, and stays while it is asked again. */
  #wait({ code }) {
    const name = `status.${code}`;
    if (!this.#page.words.has(name)) return;
    this.#refused = name;
    this.#timers.clearTimeout(this.#timer);
    this.#show(name);
  }

  /** What was said of a trouble that is over need not stay. */
  #fade() {
    this.#timer = this.#timers.setTimeout(() => this.#show(""), 2 * this.#patienceMs);
  }

  #show(name) {
    this.#shown = GOOD_NEWS.has(name) ? "" : name;
    this.#line.textContent = name && this.#sentence(name);
    if (this.#button) this.#button.hidden = name !== "status.waiting";
  }

  #sentence(name) {
    const { words } = this.#page;
    return name === "status.waiting" && this.#reason ? `${words.refusal(this.#reason)} ${words.say(name)}` : words.say(name);
  }

  #end(refusal) {
    this.#refused = "";
    this.#timers.clearTimeout(this.#timer);
    this.#show("");
    this.#line.textContent = this.#page.words.refusal(refusal);
    if (this.#again) this.#again.hidden = !MAY_REOPEN.has(refusal.code);
  }

  /** Join once more. A room that is still closed ends again, and says so. */
  async #lookAgain() {
    this.#line.textContent = this.#page.words.say("status.looking");
    try {
      await this.#page.room.join();
    } catch {
      return;
    }
    this.#show("status.reopened");
    this.#fade();
  }

  /** What the page was rendered with of a room that was closed is not so any more. */
  #opened() {
    this.#refused = "";
    this.#reason = null;
    if (this.#again) this.#again.hidden = true;
    for (const [part, hidden] of [["[data-rt-closed]", true], ["[data-rt-open]", false]]) {
      const found = this.#element.querySelector(part);
      if (found) found.hidden = hidden;
    }
  }
}

/**
 * The name of the sentence for this state; "" when all is well, null when it says nothing new (the room is not
 * joined yet, or has ended, or the page is hidden).
 * @param {string} socket
 * @param {string} room
 */
export function troubleOf(socket, room) {
  if (room === "idle" || room === "ended" || socket === "paused") return null;
  if (socket === "waiting" || socket === "offline" || socket === "stopped") return `status.${socket}`;
  return socket === "open" && room === "joined" ? "" : "status.connecting";
}
