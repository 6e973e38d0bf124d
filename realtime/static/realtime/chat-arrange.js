/**
 * How a line of a chat stands to the line above it. Pure; days are those of the browser's own time zone.
 */

/** Lines of one person within this time stand under one name. The template tag has the same number. */
export const TOGETHER_MS = 5 * 60 * 1000;

/**
 * @param {{at: string, name: string, by: {id: string} | null}} event
 * @param {{at: string, name: string, by: {id: string} | null} | null} above
 * @returns {{startsDay: boolean, isGrouped: boolean}}
 */
export function arrange(event, above) {
  const startsDay = !above || !isSameDay(new Date(event.at), new Date(above.at));
  return { startsDay, isGrouped: !startsDay && isTogether(event, above) };
}

function isTogether(event, above) {
  if (!event.by || !above.by) return false;
  if (event.by.id !== above.by.id || event.name !== above.name) return false;
  return Date.parse(event.at) - Date.parse(above.at) <= TOGETHER_MS;
}

function isSameDay(one, other) {
  return one.toDateString() === other.toDateString();
}

/** How many days before `now` the day of `date` is: 0 for today, 1 for yesterday. */
export function daysAgo(date, now) {
  const midnight = (moment) => Date.UTC(moment.getFullYear(), moment.getMonth(), moment.getDate());
  return Math.round((midnight(now) - midnight(date)) / 86_400_000);
}

/** The day as a `<time>` has it: 2026-03-01. */
export function isoDay(date) {
  const two = (number) => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
