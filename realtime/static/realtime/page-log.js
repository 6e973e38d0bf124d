/** The page of a kind that has none of its own: its events, one line each. */

const MOST_LINES = 200;

/**
 * @param {Element} element
 * @param {object} page  the RoomPage of page-boot.js
 */
export function mount(element, { room }) {
  const list = element.querySelector("[data-rt-events]");
  if (!list) return;
  room.addEventListener("removed", ({ detail }) => {
    const line = list.querySelector(`[data-seq="${detail.seq}"]`);
    if (line) line.querySelector("code").textContent = "{}";
  });
  room.on("*", (event) => {
    list.append(lineOf(event));
    while (list.childElementCount > MOST_LINES) list.firstElementChild.remove();
    list.scrollTop = list.scrollHeight;
  });
}

function lineOf({ seq, name, by, data }) {
  const line = document.createElement("li");
  if (seq) line.dataset.seq = seq;
  line.append(textIn("b", name), " ", ...(by ? [textIn("bdi", by.name), " "] : []), textIn("code", JSON.stringify(data)));
  return line;
}

function textIn(tag, text) {
  const element = document.createElement(tag);
  element.dir = "auto";
  element.textContent = text;
  return element;
}
