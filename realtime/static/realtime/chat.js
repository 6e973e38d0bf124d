/** The chat's page: wires the room to its lines, to what one writes, and to who else is writing. */

import { Composer } from "./chat-composer.js";
import { Draft } from "./chat-draft.js";
import { History } from "./chat-history.js";
import { LineMaker } from "./chat-line.js";
import { Lines } from "./chat-lines.js";
import { Outbox } from "./chat-outbox.js";
import { Scroll } from "./chat-scroll.js";
import { Slow } from "./chat-slow.js";
import { Typing } from "./chat-typing.js";
import { tabStorage } from "./world.js";

/**
 * @param {Element} element
 * @param {object} page  the RoomPage of page-boot.js
 */
export function mount(element, page) {
  const part = (name) => element.querySelector(`[data-rt-${name}]`);
  const { room, snapshot, words } = page;
  const you = () => room.you ?? snapshot.you;
  const isMine = (event) => Boolean(event.by) && event.by.id === you()?.id;

  const maker = new LineMaker(part("line"), words, () => you()?.id);
  const served = new Set([...part("lines").children].map((node) => node.dataset.key));
  const lines = new Lines(part("lines"), maker);
  const scroll = new Scroll(part("scroll"), () => history.move());
  const history = new History(room, lines, scroll, snapshot);
  const outbox = new Outbox(part("outbox"), page, maker, you);
  const typing = new Typing(part("typing"), page);
  const slow = new Slow(part("slow"), part("composer"), words);
  const draft = new Draft(tabStorage(), you()?.id ?? "", room.slug);
  const composer = new Composer(part("composer"), draft, {
    type: () => typing.say(),
    mayNot: () => slow.holds(),
    send: (text) => {
      typing.rest();
      outbox.send(text);
      history.latest();
    },
  });

  const allow = (can) => {
    composer.isAllowed = can;
    part("readonly").hidden = can;
  };
  const restore = () => outbox.restore(room.pending, (key) => served.has(key));

  room.on("*", (event) => {
    if (!event.seq) return;
    if (isMine(event)) {
      outbox.settle(event.key);
      if (!event.removed && event.name === "message") slow.acted(Date.parse(event.at));
    } else if (event.by) typing.forget(event.by.id);
    history.receive(event, isMine(event));
  });
  room.on("typing", ({ by }) => by && by.id !== you()?.id && typing.hear(by));
  room.addEventListener("joined", () => {
    allow(room.can.includes("act"));
    slow.seconds = room.slow;
    restore();
  });
  room.addEventListener("can", () => {
    allow(room.can.includes("act"));
    slow.seconds = room.slow;
  });
  room.addEventListener("gap", ({ detail }) => history.gap(detail.seq));
  room.addEventListener("removed", ({ detail }) => history.remove(detail.seq));
  room.addEventListener("cleared", ({ detail }) => history.clear(detail.seq));
  room.addEventListener("ended", ({ detail }) => {
    allow(false);
    if (detail.code === "banned") part("readonly").hidden = true;
  });

  history.addEventListener("change", () => show(part, words, history, scroll, lines));
  history.addEventListener("refused", ({ detail }) => {
    part("notice").textContent = `${words.say("history")} ${words.refusal(detail)}`;
  });
  part("lines").addEventListener("click", ({ target }) => {
    const event = target.closest("[data-rt-more]") && lines.event(Number(target.closest("[data-seq]")?.dataset.seq));
    if (event) page.moderator.aboutEvent(event);
  });
  part("older").addEventListener("click", () => history.older());
  part("jump").addEventListener("click", () => history.latest());

  allow(snapshot.can.includes("act"));
  slow.seconds = snapshot.slow ?? null;
  slow.acted(Date.parse(lines.lastOf(you()?.id) ?? ""));
  restore();
  show(part, words, history, scroll, lines);
  scroll.toBottom();
}

/** The buttons around the lines. */
function show(part, words, history, scroll, lines) {
  part("older").hidden = history.isComplete;
  part("older").disabled = history.isLoading;
  part("scroll").ariaBusy = String(history.isLoading);
  part("empty").hidden = lines.size > 0 || !history.isComplete;

  const isAway = !history.isAttached || !scroll.isNearBottom;
  part("jump").hidden = !(history.unread > 0 || isAway);
  part("jump").textContent = history.unread > 0 ? words.say("new", { n: history.unread }) : words.say("newest");
}
