// When something happened, in the user's own time zone and language.

import { locale, tell } from "./language.js";

const DAY = new Intl.DateTimeFormat(locale, { weekday: "long", day: "numeric", month: "long" });
const DAY_OF_YEAR = new Intl.DateTimeFormat(locale, { day: "numeric", month: "long", year: "numeric" });
const CLOCK = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" });
const MOMENT = new Intl.DateTimeFormat(locale, { dateStyle: "long", timeStyle: "medium" });

function daysBetween(earlier, later) {
  const midnight = (date) => Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
  return Math.round((midnight(later) - midnight(earlier)) / 86_400_000);
}

/** "Today", "Yesterday", "Monday, 3 March" or "3 March 2024". */
export function dayOf(timestamp) {
  const date = new Date(timestamp);
  const now = new Date();
  const days = daysBetween(date, now);
  if (days === 0) return tell("today");
  if (days === 1) return tell("yesterday");
  return (date.getFullYear() === now.getFullYear() ? DAY : DAY_OF_YEAR).format(date);
}

/** "14:05". */
export function clockOf(timestamp) {
  return CLOCK.format(new Date(timestamp));
}

/** "3 March 2024 at 14:05:09". */
export function momentOf(timestamp) {
  return MOMENT.format(new Date(timestamp));
}

/** The moment at which a day begins that a field of dates names, or the one after it. */
export function beginningOf(day, after = 0) {
  const [year, month, date] = day.split("-").map(Number);
  return new Date(year, month - 1, date + after).toISOString();
}

/** The last moment of a day that a field of dates names. */
export function endOf(day) {
  return new Date(Date.parse(beginningOf(day, 1)) - 1).toISOString();
}
