/**
 * The sentences of a room's page. They stand in the template, in `<template data-rt-words>`, so that Django
 * translates them and a site can change them.
 */
export class Words {
  #sentences = new Map();
  #lang;
  #plural;

  /**
   * @param {ParentNode} root
   * @param {string} [lang] the language whose rules choose between `name.one` and `name.other`
   */
  constructor(root, lang = document.documentElement.lang || undefined) {
    this.#lang = lang;
    this.#plural = new Intl.PluralRules(lang);
    for (const template of root.querySelectorAll("template[data-rt-words]")) {
      for (const word of template.content.querySelectorAll("[data-word]")) {
        this.#sentences.set(word.dataset.word, word.textContent);
      }
    }
  }

  /** Whether the template has a sentence of this name. */
  has(name) {
    return this.#sentences.has(name);
  }

  /**
   * The sentence with its `{places}` filled. Where `values.n` is a number, it chooses the plural form.
   * @param {string} name
   * @param {Record<string, string | number>} [values]
   */
  say(name, values = {}) {
    return this.#sentence(name, values.n).replace(/\{(\w+)\}/g, (place, key) => String(values[key] ?? place));
  }

  /**
   * The sentence in pieces, for `element.replaceChildren(...)`: where a value is a list of nodes, these stand in its place.
   * @param {string} name
   * @param {Record<string, any>} values
   * @returns {(Node | string)[]}
   */
  pieces(name, values) {
    const parts = this.#sentence(name, values.n).split(/\{(\w+)\}/);
    return parts.flatMap((part, index) => (index % 2 ? (values[part] ?? `{${part}}`) : part));
  }

  /** Names as this language lists them, "alice, bob and carol", each in an element that its letters cannot reach out of. */
  list(names) {
    const parts = new Intl.ListFormat(this.#lang).formatToParts(names);
    return parts.map(({ type, value }) => (type === "element" ? isolated(value) : value));
  }

  /** A moment to come, as one says it: the time, and the day where it is not today. Of this browser's zone. */
  moment(iso, now = new Date()) {
    const date = new Date(iso);
    const day = date.toDateString() === now.toDateString() ? {} : { day: "numeric", month: "long" };
    return date.toLocaleString(this.#lang, { ...day, hour: "2-digit", minute: "2-digit" });
  }

  /** A length of time, to the second below two minutes, to the minute above. */
  duration(seconds) {
    const [value, unit] = seconds < 120 ? [Math.ceil(seconds), "second"] : [Math.ceil(seconds / 60), "minute"];
    return new Intl.NumberFormat(this.#lang, { style: "unit", unit, unitDisplay: "long" }).format(value);
  }

  /** `name`, or, where there is an end to it, `name.until` with its time. */
  until(name, until) {
    return until && this.has(`${name}.until`) ? this.say(`${name}.until`, { time: this.moment(until) }) : this.say(name);
  }

  /**
   * What to tell a person who was refused: the template's sentence for the code, with the time to wait where it has a place for
   * that; else the server's, as those of a kind's own codes; never a bare code.
   */
  refusal({ code, message, until, retryAfter }) {
    const name = `refused.${code}`;
    if (!this.has(name)) return message && message !== code ? message : this.say("refused");
    const waits = typeof retryAfter === "number" && this.has(`${name}.wait`);
    return waits ? this.say(`${name}.wait`, { time: this.duration(Math.max(1, retryAfter)) }) : this.until(name, until);
  }

  #sentence(name, n) {
    return this.#sentences.get(this.#form(name, n)) ?? this.#sentences.get(name) ?? name;
  }

  #form(name, n) {
    if (typeof n !== "number") return name;
    const form = `${name}.${this.#plural.select(n)}`;
    return this.has(form) ? form : `${name}.other`;
  }
}

/** A name may be written from right to left: `<bdi>` keeps that from the sentence around it. */
function isolated(name) {
  const element = document.createElement("bdi");
  element.textContent = name;
  return element;
}
