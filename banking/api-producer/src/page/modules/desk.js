// Carries an order out, and shows how far it is: in progress, done, refused, or not known.

import { element, refocus } from "./elements.js";
import { format } from "./money.js";
import { Order } from "./order.js";

const WORDS = {
  send: { doing: "Sending", done: "Sent", thing: "transfer" },
  deposit: { doing: "Depositing", done: "Deposited", thing: "deposit" },
  withdraw: { doing: "Withdrawing", done: "Withdrew", thing: "withdrawal" },
};

/** In place of the bank's words, which are about headers. */
const LATE = "The bank did not answer in time. It may be made yet.";

export class Desk {
  #place;
  #on;
  #run = 0;

  /**
   * Shows orders at `place`. `on` has `open()` when one takes the form's place, `free(done)` when
   * the form is the user's again, and `settled()` when money may have moved.
   */
  constructor(place, on) {
    this.#place = place;
    this.#on = on;
  }

  /** Carries it out. A failure that leaves the outcome open ends with the choice to try again. */
  async carryOut(order) {
    this.#run += 1;
    const run = this.#run;
    const { doing, done } = WORDS[order.kind];
    this.#on.open();
    const spinner = element("span", { class: "spinner", "aria-hidden": "true" });
    this.#show("progress", spinner, element("p", {}, `${doing} ${what(order)} …`));
    try {
      await order.send();
      if (run === this.#run) this.#close("done", `${done} ${what(order)}.`, true);
    } catch (failure) {
      if (failure.stale || run !== this.#run) return;
      if (failure.isFinal) this.#close("error", failure.message, false);
      else this.offer(order, failure.status === 504 ? LATE : failure.message);
    }
    this.#on.settled();
  }

  /** Offers the order of this kind that was left open, if there is one; returns whether. */
  resume(kind) {
    this.clear();
    const order = Order.recall(kind);
    if (order) this.offer(order, "It was interrupted.");
    return Boolean(order);
  }

  /** Offers to try an order again of which nobody knows the outcome. */
  offer(order, why) {
    const { thing } = WORDS[order.kind];
    const again = element(
      "button",
      { type: "button", class: "primary", onclick: () => this.carryOut(order) },
      "Try again",
    );
    const aside = element(
      "button",
      { type: "button", class: "secondary", onclick: () => this.#setAside(order) },
      "Set aside",
    );
    this.#on.open();
    this.#show(
      "unknown",
      element("h3", {}, `Your ${thing} of ${what(order)} is not confirmed`),
      element("p", {}, why),
      element("p", {}, "Trying again is safe: it is made at most once, however often you try. If you set it aside, your statement tells whether it was made."),
      element("div", { class: "row" }, again, aside),
    );
    refocus(again);
  }

  /** Forgets what it shows. */
  clear() {
    this.#run += 1;
    this.#place.replaceChildren();
  }

  #setAside(order) {
    order.forget();
    this.clear();
    this.#on.free(true);
    this.#on.settled();
  }

  #close(state, text, done) {
    const role = done ? "status" : "alert";
    const message = element("p", { class: `message message-${state}`, role, tabindex: "-1" }, text);
    this.#run += 1;
    this.#place.replaceChildren(message);
    this.#on.free(done);
    refocus(message);
  }

  #show(state, ...children) {
    this.#place.replaceChildren(element("div", { class: `order order-${state}`, role: "status" }, ...children));
  }
}

function what({ body, to }) {
  return to ? `${format(body.amount)} to ${to}` : format(body.amount);
}
