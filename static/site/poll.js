/** The page of the poll, a kind of this site's own: shows the state, folds in the events, sends votes. */

export function mount(element, { room, snapshot, words }) {
  const part = (name) => element.querySelector(`[data-${name}]`);
  let { question, choices, votes } = snapshot.state;
  let { seq, can } = snapshot;

  function show() {
    part("poll-question").textContent = question;
    const items = part("poll-choices");
    while (items.children.length > choices.length) items.lastElementChild.remove();
    choices.forEach((choice, index) => {
      const item = items.children[index] ?? items.appendChild(document.createElement("li"));
      const button = item.querySelector("button") ?? makeButton(item, index);
      const count = Object.values(votes).filter((vote) => vote === index).length;
      const mine = votes[(room.you ?? snapshot.you)?.id];
      button.children[0].textContent = choice;
      button.children[1].textContent = words.say("votes", { n: count });
      button.ariaPressed = String(mine === index);
      button.disabled = !can.includes("act");
    });
  }

  function makeButton(item, index) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "poll-choice";
    button.append(document.createElement("span"), document.createElement("span"));
    button.addEventListener("click", () => vote(index));
    item.replaceChildren(button);
    return button;
  }

  async function vote(choice) {
    try {
      await room.send("vote", { choice });
      part("rt-notice").textContent = "";
    } catch (refusal) {
      part("rt-notice").textContent = words.refusal(refusal);
    }
  }

  function fold(event, change) {
    if (event.seq <= seq) return;
    seq = event.seq;
    change(event.data);
    show();
  }

  room.on("asked", (event) => fold(event, (data) => ({ question, choices } = { ...data }, votes = {})));
  room.on("voted", (event) => fold(event, ({ by, choice }) => (votes = { ...votes, [by]: choice })));
  room.addEventListener("joined", () => {
    ({ question, choices, votes } = room.state);
    seq = room.stateSeq;
    can = room.can;
    show();
  });
  show();
}
