/**
 * Links in what people write. Text goes in and text nodes come out: nothing here ever reads or makes HTML, and only
 * http and https addresses become links.
 */

const ADDRESS = /\bhttps?:\/\/[^\s<>"'`\u00ab\u00bb\u201c-\u201f]+/giu;
const TAIL = /[.,;:!?\u2026*_~]+$/u;
const PAIRS = { ")": "(", "]": "[", "}": "{" };

/**
 * The text in pieces, in order; those that are addresses have an `href`.
 * @param {string} text
 * @returns {{text: string, href?: string}[]}
 */
export function split(text) {
  const pieces = [];
  let from = 0;
  for (const found of text.matchAll(ADDRESS)) {
    const address = withoutTail(found[0]);
    const href = safeHref(address);
    if (!href) continue;
    if (found.index > from) pieces.push({ text: text.slice(from, found.index) });
    pieces.push({ text: address, href });
    from = found.index + address.length;
  }
  if (from < text.length) pieces.push({ text: text.slice(from) });
  return pieces;
}

/** The address without the punctuation of the sentence around it; a bracket stays when it was opened inside. */
function withoutTail(address) {
  for (;;) {
    const shorter = address.replace(TAIL, "");
    const last = shorter.at(-1);
    const isExtra = last in PAIRS && count(shorter, last) > count(shorter, PAIRS[last]);
    const next = isExtra ? shorter.slice(0, -1) : shorter;
    if (next === address) return address;
    address = next;
  }
}

function count(text, character) {
  return text.split(character).length - 1;
}

/** The address as a browser understands it, or null: not http(s), or with a name in front that hides the host. */
function safeHref(address) {
  if (!URL.canParse(address)) return null;
  const url = new URL(address);
  const isWeb = url.protocol === "https:" || url.protocol === "http:";
  return isWeb && !url.username && !url.password ? url.href : null;
}

/**
 * Put `text` into `element`, with links.
 * @param {Element} element
 * @param {string} text
 */
export function fill(element, text) {
  element.replaceChildren(...split(text).map(({ text, href }) => (href ? link(text, href) : text)));
}

function link(text, href) {
  const anchor = document.createElement("a");
  anchor.href = href;
  anchor.rel = "noopener nofollow ugc";
  anchor.target = "_blank";
  anchor.textContent = text;
  return anchor;
}
