// A word about what just happened, for a moment, in the bar: where nothing is to be pressed.

import { byId, element } from "./elements.js";
import { tell } from "./language.js";

const SHOWN_MS = 6_000;

let timer;

/** Shows a message for a moment, in place of the one before. */
export function toast(message) {
  clearTimeout(timer);
  byId("toasts").replaceChildren(element("p", { class: "toast" }, message));
  timer = setTimeout(() => byId("toasts").replaceChildren(), SHOWN_MS);
}

/** Takes it away: it is not for whoever comes next. */
export function forgetToasts() {
  clearTimeout(timer);
  byId("toasts").replaceChildren();
  document.title = tell("bankName");
}
