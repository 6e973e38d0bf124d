/**
 * The stock Phoenix client at work: does what the lines of its standard input say, and writes a line for all that happens.
 *
 * `node driver.js <ws url of the mount> <cookie> [<ticket>...]`. A line in is `{"do": "join", "topic": "room:lobby"}`; a line out says what
 * `is` the case. Nothing of the client is changed but its transport, which in a browser would have the cookie anyway.
 */
import { createInterface } from "node:readline";
import { Presence, Socket } from "phoenix";
import WebSocket from "ws";

const [address, cookie, ...tickets] = process.argv.slice(2);
const origin = tickets.length ? "https://elsewhere.example" : new URL(address).origin.replace("ws", "http");

class BrowserWebSocket extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, { headers: { Cookie: cookie }, origin });
  }
}

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const authToken = tickets.length ? () => tickets.shift() : undefined;
const socket = new Socket(address, { transport: BrowserWebSocket, authToken });
const channels = new Map();
const newest = new Map();

/** Remember the newest event of a topic: it is what the params closure hands to the next join. */
function remember(topic, { seq }) {
  newest.set(topic, Math.max(seq, newest.get(topic) ?? 0));
}

function listen(topic) {
  const channel = socket.channel(topic, () => (newest.has(topic) ? { since: newest.get(topic) } : {}));
  const presence = new Presence(channel);
  presence.onSync(() => say({ is: "present", topic, names: presence.list((_, { metas }) => metas[0].name).sort() }));
  channel.onClose(() => say({ is: "closed", topic }));
  channel.onError(() => say({ is: "errored", topic }));
  for (const name of ["message", "typing", "room_ended"]) {
    channel.on(name, (payload) => {
      if (payload.seq) remember(topic, payload);
      say({ is: "heard", topic, name, payload });
    });
  }
  channels.set(topic, channel);
  return channel;
}

const deeds = {
  join({ topic }) {
    listen(topic)
      .join()
      .receive("ok", (welcome) => {
        for (const event of welcome.events) remember(topic, event);
        say({ is: "joined", topic, welcome });
      })
      .receive("error", (refusal) => say({ is: "refused", topic, refusal }))
      .receive("timeout", () => say({ is: "timeout", topic }));
  },
  push({ topic, name, payload }) {
    channels
      .get(topic)
      .push(name, payload)
      .receive("ok", (response) => say({ is: "answered", name, status: "ok", response }))
      .receive("error", (response) => say({ is: "answered", name, status: "error", response }))
      .receive("timeout", () => say({ is: "answered", name, status: "timeout" }));
  },
  leave({ topic }) {
    channels.get(topic).leave().receive("ok", () => say({ is: "left", topic }));
  },
  reconnect() {
    socket.conn.terminate();
  },
  look({ topic }) {
    const { state, rejoinTimer } = channels.get(topic);
    const willRejoin = Boolean(rejoinTimer.timer) && !rejoinTimer.timer._destroyed; // cleared timers stay where they were
    say({ is: "state", topic, state, willRejoin, known: socket.channels.length });
  },
};

socket.onOpen(() => say({ is: "open" }));
socket.onClose(({ code }) => say({ is: "lost", code }));
socket.connect();
createInterface({ input: process.stdin })
  .on("line", (line) => {
    const { do: deed, ...about } = JSON.parse(line);
    deeds[deed](about);
  })
  .on("close", () => process.exit());
