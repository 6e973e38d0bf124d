/**
 * Brings every room on the page to life: finds the elements that `{% realtime_room %}` wrote, opens one socket for
 * each mount, and hands each element to the module of its kind.
 *
 * The element's `data-realtime-status` says how the room stands: joining, joined, waiting, ended.
 *
 * The module of a kind exports `mount(element, page)`, where page is a {@link RoomPage}. This file and the modules it
 * imports look after what all kinds share: the connection in words, and who is here.
 */

import { Moderator } from "./page-moderator.js";
import { Muted } from "./page-muted.js";
import { People } from "./page-people.js";
import { Status } from "./page-status.js";
import { Words } from "./page-words.js";
import { Socket } from "./socket.js";

/**
 * @typedef {object} Snapshot what the server rendered
 * @property {number} seq      the newest seq in it
 * @property {number} first    the oldest one
 * @property {boolean} complete nothing older is kept
 * @property {{[name: string]: any}} state
 * @property {import("./codec/shapes.js").Person | null} you
 * @property {string[]} can
 * @property {import("./codec/shapes.js").Mute | null} muted
 * @property {number | null} slow
 */
/**
 * @typedef {object} RoomPage  what the module of a kind is given
 * @property {import("./room.js").Room} room  it is joined after `mount` returns
 * @property {Socket} socket
 * @property {Words} words     the sentences of the template
 * @property {Snapshot} snapshot
 * @property {Moderator} moderator  what one does about messages and people
 */

/** @type {Map<string, Socket>} by mount */
const sockets = new Map();

/**
 * Bring the rooms inside `root` to life that are not yet. A page that adds rooms later calls it again.
 * @param {ParentNode} [root]
 */
export function boot(root = document) {
  const found = root.querySelectorAll("[data-realtime-room]:not([data-realtime-booted])");
  return Promise.all([...found].map((element) => bootRoom(/** @type {HTMLElement} */ (element))));
}

/** @param {HTMLElement} element */
async function bootRoom(element) {
  element.dataset.realtimeBooted = "";
  const { realtimeRoom: slug = "", realtimeMount: mount = "", realtimeModule: address = "" } = element.dataset;
  const snapshot = JSON.parse(element.querySelector('script[type="application/json"]')?.textContent ?? "{}");
  const socket = socketOf(mount);
  const room = socket.room(slug, { since: snapshot.seq, you: snapshot.you ?? undefined });
  const page = { room, socket, snapshot, words: new Words(element) };
  page.moderator = new Moderator(element, page);

  room.addEventListener("status", () => (element.dataset.realtimeStatus = room.status));
  new Status(element, page);
  new People(element, page);
  new Muted(element, page);
  const kind = await import(address);
  kind.mount(element, page);
  await join(room);
}

/** @param {string} mount */
function socketOf(mount) {
  const socket = sockets.get(mount) ?? new Socket(mount);
  sockets.set(mount, socket);
  return socket;
}

/**
 * A refused join is no failure: the status line says it, which hears of it from the room.
 * @param {import("./room.js").Room} room
 */
async function join(room) {
  try {
    await room.join();
  } catch (error) {
    if (room.status !== "ended") throw error;
  }
}

boot();
