// Amounts of the bank's currency, in the user's locale.

import { Mistake } from "./elements.js";
import { language, locale, tell } from "./language.js";
import { LARGEST, Money } from "./money.js";

/** The bank's only currency; it has hundredths. */
const CURRENCY = "EUR";

export const money = new Money(locale, CURRENCY);

/** The amount in a field, in minor units. */
export function amountIn(field) {
  try {
    return money.parse(field.value);
  } catch (error) {
    const limits = { example: money.plain(100_000), smallest: money.format(1), largest: money.format(LARGEST) };
    throw new Mistake(field, tell(`amount.${error.message}`, limits));
  }
}

/** Writes what was typed as it was understood, as soon as the field is left. */
export function amountField(field) {
  field.placeholder = money.plain(0);
  field.lang = language;
  field.addEventListener("change", () => {
    try {
      field.value = money.plain(money.parse(field.value));
    } catch {
      // Whoever submits it is told.
    }
  });
}
