/**
 * What the client uses of the browser, each part replaceable: this is the one place that reads globals. In a worker, or
 * outside of a browser, what is not there is left out.
 */

import { Clock } from "./clock.js";

/** @typedef {import("./drawer.js").TabStorage} TabStorage */
/** @typedef {new (url: string, protocols?: string[]) => WebSocket} WebSocketClass */
/**
 * @typedef {object} Replacements
 * @property {WebSocketClass} [WebSocket]
 * @property {(callback: () => void, ms: number) => any} [setTimeout]
 * @property {(timer: any) => void} [clearTimeout]
 * @property {() => number} [now]  milliseconds since the epoch
 * @property {() => number} [random]
 * @property {TabStorage | null} [storage]
 * @property {Document | null} [document]
 * @property {Window | null} [window]
 * @property {{href: string} | null} [location]
 * @property {(error: unknown) => void} [report]  hears what the page's own handlers throw
 */

/** @param {Replacements} replacements */
export function furnish(replacements) {
  const { document, window, storage, location } = replacements;
  return {
    clock: new Clock(replacements),
    random: replacements.random ?? Math.random,
    WebSocket: replacements.WebSocket ?? globalThis.WebSocket,
    document: document === undefined ? globalThis.document : document,
    window: window === undefined ? globalThis.window : window,
    location: location === undefined ? globalThis.location : location,
    storage: storage === undefined ? tabStorage() : storage,
    report: replacements.report ?? reportAsUncaught,
  };
}

/** Reading `sessionStorage` throws where the person has forbidden it. @returns {TabStorage | null} */
export function tabStorage() {
  try {
    return globalThis.sessionStorage ?? null;
  } catch {
    return null;
  }
}

/** @param {unknown} error */
function reportAsUncaught(error) {
  if (typeof globalThis.reportError === "function") globalThis.reportError(error);
  else console.error(error);
}
