/**
 * An auth token on the wire: among the subprotocols of the handshake, as Phoenix's own client sends it, since browsers let a
 * page set no header there. Never in the address, which servers and proxies write into their logs.
 */

const PREFIX = "base64url.bearer.phx.";

/**
 * What to offer with a token; without one nothing.
 * @param {string | null | undefined} token
 * @returns {string[]}
 */
export function subprotocols(token) {
  return token ? ["phoenix", PREFIX + btoa(token).replace(/=+$/, "")] : [];
}
