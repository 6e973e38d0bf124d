/** Makes and reads the lines of a chat, from the markup of `realtime/chat/line.html`. */

import { arrange, daysAgo, isoDay } from "./chat-arrange.js";
import { fill } from "./chat-links.js";
import { hueOf } from "./page-people.js";

export class LineMaker {
  #template;
  #words;
  #you;
  #time;
  #day;

  /**
   * @param {HTMLTemplateElement} template an empty line
   * @param {import("./page-words.js").Words} words
   * @param {() => string | undefined} you the id of the person at this page
   */
  constructor(template, words, you, lang = document.documentElement.lang || undefined) {
    this.#template = template;
    this.#words = words;
    this.#you = you;
    this.#time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
    this.#day = new Intl.DateTimeFormat(lang, { dateStyle: "full" });
  }

  /** The event behind a line that the server rendered. */
  read(node) {
    const { seq, at, name, key, by, byName, removed } = node.dataset;
    const author = by ? { id: by, name: byName } : null;
    const said = removed ? { data: {}, removed: true } : { data: { text: node.querySelector("[data-rt-text]").textContent } };
    return { seq: Number(seq), at, name, key: key || null, by: author, ...said };
  }

  /** A new line for an event. */
  make(event) {
    const node = this.#template.content.firstElementChild.cloneNode(true);
    const { at, by, name } = event;
    node.classList.toggle("rt-announcement", !by);
    if (event.seq) node.dataset.seq = event.seq;
    if (by) {
      const initial = node.querySelector("[data-rt-initial]");
      initial.textContent = [...by.name].slice(0, 1).join("").toUpperCase() || "?";
      initial.classList.add(`rt-hue-${hueOf(by.id)}`);
      node.querySelector("[data-rt-author]").textContent = by.name;
    }
    node.querySelector("[data-rt-at]").dateTime = at;
    node.dataset.name = name;
    return this.enliven(node, event);
  }

  /** Links, the time of this browser's zone, and whose line it is. */
  enliven(node, event) {
    const at = node.querySelector("[data-rt-at]");
    const date = new Date(event.at);
    at.textContent = this.#time.format(date);
    at.title = date.toLocaleString();
    node.classList.toggle("rt-mine", Boolean(event.by) && event.by.id === this.#you());
    this.say(node, event);
    return node;
  }

  /** What was said, with its links; or that it was taken away. */
  say(node, event) {
    const text = node.querySelector("[data-rt-text]");
    node.classList.toggle("rt-removed", event.removed === true);
    if (event.removed) text.textContent = this.#words.say("removed");
    else fill(text, event.data.text);
  }

  /** Show how the line stands to the one above it. */
  arrange(node, event, above, now = new Date()) {
    const { startsDay, isGrouped } = arrange(event, above);
    node.classList.toggle("rt-grouped", isGrouped);
    const day = node.querySelector("[data-rt-day]");
    day.hidden = !startsDay;
    if (startsDay) day.replaceChildren(this.#dayOf(new Date(event.at), now));
  }

  #dayOf(date, now) {
    const time = document.createElement("time");
    time.dateTime = isoDay(date);
    const name = ["today", "yesterday"][daysAgo(date, now)];
    time.textContent = name ? this.#words.say(name) : this.#day.format(date);
    return time;
  }
}
