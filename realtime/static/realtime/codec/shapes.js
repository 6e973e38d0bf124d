/**
 * What the payloads hold, read with distrust: a field of the wrong type becomes its neutral value, an event that is none
 * is left out. Pages can rely on the types named here whatever the server sends.
 */

/** @typedef {{id: string, name: string}} Person */
/**
 * @typedef {object} RoomEvent
 * @property {number} [seq]         its place in the room's log; an ephemeral event has none
 * @property {string} name
 * @property {string | null} at     when it was written, ISO 8601; null for an ephemeral event
 * @property {Person | null} by     null: the site itself speaks
 * @property {string | null} key    the sender's key
 * @property {{[name: string]: any}} data
 * @property {true} [removed]       what it said was taken away: `data` is empty
 */
/** @typedef {RoomEvent & {seq: number}} LoggedEvent */
/** @typedef {{until: string | null}} Mute  until when one may not act, ISO 8601; null: for good */
/**
 * @typedef {object} Welcome
 * @property {number} seq           the newest seq of the room; `state` stands exactly here
 * @property {LoggedEvent[]} events what came after `since`, oldest first
 * @property {number} tail  events up to this seq are no longer kept
 * @property {boolean} more         true: the rest, up to `seq`, follows as ordinary events
 * @property {boolean} complete     false: the kept log starts later than `since`
 * @property {{[name: string]: any}} state
 * @property {Person | null} you
 * @property {string[]} can
 * @property {Mute | null} muted
 * @property {number | null} slow   seconds to wait from one command to the next
 * @property {{title: string, kind: string}} room
 */

/**
 * @param {unknown} value
 * @returns {value is {[name: string]: unknown}}
 */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * @param {unknown} value
 * @returns {value is number}
 */
export function isSeq(value) {
  return Number.isSafeInteger(value) && /** @type {number} */ (value) >= 0;
}

/**
 * @param {string} name
 * @param {{[name: string]: unknown}} payload
 * @returns {RoomEvent}
 */
export function readEvent(name, { seq, at, by, key, data, removed }) {
  /** @type {RoomEvent} */
  const event = {
    name,
    at: text(at),
    by: readPerson(by),
    key: text(key),
    data: isObject(data) ? data : {},
  };
  if (isSeq(seq)) event.seq = seq;
  if (removed === true) event.removed = true;
  return event;
}

/**
 * @param {unknown} list
 * @returns {LoggedEvent[]}
 */
export function readEvents(list) {
  /** @type {LoggedEvent[]} */
  const events = [];
  if (!Array.isArray(list)) return events;
  for (const item of list) {
    if (!isObject(item) || typeof item.name !== "string" || !isSeq(item.seq)) continue;
    events.push({ ...readEvent(item.name, item), seq: item.seq });
  }
  return events;
}

/**
 * Read the reply to a join. Fields that this page does not know pass through as they are.
 * @param {{[name: string]: unknown}} response
 * @returns {Welcome}
 */
export function readWelcome(response) {
  const { seq, tail, state, you, can, room } = response;
  const events = readEvents(response.events);
  return {
    ...response,
    events,
    seq: isSeq(seq) ? seq : (events.at(-1)?.seq ?? 0),
    tail: isSeq(tail) ? tail : 0,
    more: response.more === true,
    complete: response.complete !== false,
    state: isObject(state) ? state : {},
    you: readPerson(you),
    can: readWords(can),
    muted: readMute(response.muted),
    slow: readSlow(response.slow),
    room: { title: "", kind: "", ...(isObject(room) ? room : {}) },
  };
}

/**
 * @param {unknown} value
 * @returns {string[]}
 */
export function readWords(value) {
  return Array.isArray(value) ? value.filter((word) => typeof word === "string") : [];
}

/**
 * @param {unknown} value
 * @returns {Mute | null}
 */
export function readMute(value) {
  return isObject(value) ? { until: text(value.until) } : null;
}

/**
 * @param {unknown} value
 * @returns {number | null}
 */
export function readSlow(value) {
  return typeof value === "number" && value > 0 ? value : null;
}

/**
 * @param {unknown} value
 * @returns {Person | null}
 */
function readPerson(value) {
  if (!isObject(value) || typeof value.id !== "string") return null;
  return { id: value.id, name: text(value.name) ?? value.id };
}

/** @param {unknown} value */
function text(value) {
  return typeof value === "string" ? value : null;
}
