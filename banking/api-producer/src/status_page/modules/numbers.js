// Numbers and moments, as people read them.

import { locale } from "./language.js";

const number = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(locale, { timeStyle: "medium" });
const calendar = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" });

/** What is not known is a dash. */
export function count(value) {
  return value === null || value === undefined ? "–" : number.format(value);
}

export function time(moment) {
  return moment ? clock.format(new Date(moment)) : "–";
}

export function date(moment) {
  return moment ? calendar.format(new Date(moment)) : "–";
}
