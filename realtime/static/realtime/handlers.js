/** Who wants to hear which of a room's events. One handler that throws is reported and costs the others nothing. */

/** @typedef {import("./codec/shapes.js").RoomEvent} RoomEvent */
/** @typedef {(event: any) => void} Handler */

const EVERY = "*";

export class Handlers {
  #report;
  /** @type {Map<string, Set<{handler: Handler}>>} */
  #byName = new Map();

  /** @param {(error: unknown) => void} report */
  constructor(report) {
    this.#report = report;
  }

  /**
   * @param {string} name  an event's name, or "*" for every event
   * @param {Handler} handler
   * @returns {() => void} takes the handler away again
   */
  add(name, handler) {
    const registration = { handler };
    const registrations = this.#byName.get(name) ?? new Set();
    this.#byName.set(name, registrations.add(registration));
    return () => void registrations.delete(registration);
  }

  /** @param {RoomEvent} event */
  call(event) {
    this.#callAll(this.#byName.get(event.name), event);
    if (event.name !== EVERY) this.#callAll(this.#byName.get(EVERY), event);
  }

  /**
   * @param {Set<{handler: Handler}> | undefined} registrations
   * @param {RoomEvent} event
   */
  #callAll(registrations, event) {
    if (!registrations) return;
    for (const { handler } of registrations) {
      try {
        handler(event);
      } catch (error) {
        this.#report(error);
      }
    }
  }
}
