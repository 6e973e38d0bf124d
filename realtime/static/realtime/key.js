/** A key for a command: 128 random bits. Unlike `crypto.randomUUID`, this works on pages served over plain HTTP, too. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
