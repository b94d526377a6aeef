// Carries an order out, and shows how far it is: in progress, done, refused, or not known.

import { money } from "./amounts.js";
import { element, refocus } from "./elements.js";
import { tell } from "./language.js";
import { Order } from "./order.js";

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
    this.#on.open();
    const spinner = element("span", { class: "spinner", "aria-hidden": "true" });
    this.#show("progress", spinner, element("p", {}, words(order, "doing")));
    try {
      await order.send();
      if (run === this.#run) this.#close("done", words(order, "done"), true);
    } catch (failure) {
      if (failure.stale || run !== this.#run) return;
      if (failure.isFinal) this.#close("error", failure.message, false);
      // The bank's own words about it are about headers.
      else this.offer(order, failure.status === 504 ? tell("order.late") : failure.message);
    }
    this.#on.settled();
  }

  /** Offers the order of this kind that was left open, if there is one; returns whether. */
  resume(kind) {
    this.clear();
    const order = Order.recall(kind);
    if (order) this.offer(order, tell("order.interrupted"));
    return Boolean(order);
  }

  /** Offers to try an order again of which nobody knows the outcome. */
  offer(order, why) {
    const again = element(
      "button",
      { type: "button", class: "primary", onclick: () => this.carryOut(order) },
      tell("order.again"),
    );
    const aside = element(
      "button",
      { type: "button", class: "secondary", onclick: () => this.#setAside(order) },
      tell("order.aside"),
    );
    this.#on.open();
    this.#show(
      "unknown",
      element("h3", {}, words(order, "open")),
      element("p", {}, why),
      element("p", {}, tell("order.safe")),
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

/** How far an order is, "doing", "done" or "open", as a sentence. */
function words({ kind, body, to }, state) {
  const amount = money.format(body.amount);
  const what = to ? tell("order.amountTo", { amount, name: to }) : amount;
  return tell(`order.${kind}.${state}`, { what });
}
