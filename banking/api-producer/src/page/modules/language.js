// The page's language, and the way it writes numbers and dates. Another language is another load of
// the page, so that no word is left behind in the one before.

import en from "./words/en.json" with { type: "json" };
import vi from "./words/vi.json" with { type: "json" };

const WORDS = { en, vi };
const PLACE = "language";

/** "en" or "vi": what the user chose, or the first of their browser's languages that is one. */
export const language = chosen() ?? wanted().find(isKnown) ?? "en";

/** The user's own kind of that language, for numbers and dates: "en-GB", say. */
export const locale =
  navigator.languages.find((tag) => primary(tag) === language) ?? { en: "en-US", vi: "vi-VN" }[language];

/** The words for `key`, with `values` in place of the names in braces. */
export function tell(key, values = {}) {
  const words = WORDS[language][key];
  if (words === undefined) throw new Error(`there are no words for ${key}`);
  return words.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/**
 * What the bank itself says, in the user's language where that is known, or else as it is. Numbers in
 * it stay what they are.
 */
export function told(sentence) {
  const numbers = sentence.match(/\d+/g) ?? [];
  const known = WORDS[language][`bank: ${sentence.replace(/\d+/g, "#")}`];
  return known === undefined ? sentence : known.replace(/#/g, () => numbers.shift());
}

/** Says `data-say` in every element that has it, and names those with `data-name`. */
export function speak(root, values) {
  document.documentElement.lang = language;
  for (const place of root.querySelectorAll("[data-say]")) {
    place.textContent = tell(place.dataset.say, values);
  }
  for (const place of root.querySelectorAll("[data-name]")) {
    place.setAttribute("aria-label", tell(place.dataset.name, values));
  }
}

/** Brings the choice of a language to life. */
export function languages(select) {
  select.value = language;
  select.addEventListener("change", () => {
    try {
      localStorage.setItem(PLACE, select.value);
    } catch {
      // Without storage there is only the browser's own.
    }
    location.reload();
  });
}

function chosen() {
  try {
    const kept = localStorage.getItem(PLACE);
    return isKnown(kept) ? kept : null;
  } catch {
    return null;
  }
}

function wanted() {
  return navigator.languages.map(primary);
}

function primary(tag) {
  return tag.split("-")[0].toLowerCase();
}

function isKnown(name) {
  return Object.hasOwn(WORDS, name);
}
