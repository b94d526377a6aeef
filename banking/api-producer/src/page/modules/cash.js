// Paying in and paying out.

import { amountField, amountIn } from "./amounts.js";
import { Desk } from "./desk.js";
import { byId, onSubmit } from "./elements.js";
import { Order } from "./order.js";

/** Brings one of the two panels to life; `kind` is "deposit" or "withdraw". */
export function cash(kind, settled) {
  const form = byId(`${kind}-form`);
  const amount = byId(`${kind}-amount`);
  const problems = byId(`${kind}-form-error`);
  const desk = new Desk(byId(`${kind}-outcome`), {
    open: () => (form.hidden = true),
    free: (done) => {
      form.hidden = false;
      if (done) form.reset();
    },
    settled,
  });
  amountField(amount);
  onSubmit(form, problems, async () => {
    desk.clear();
    desk.carryOut(new Order(kind, { amount: amountIn(amount) }));
  });
  return {
    kind,
    /** Begins anew, or with the order that was left open; returns whether there is one. */
    enter() {
      form.hidden = false;
      form.reset();
      problems.hidden = true;
      return desk.resume(kind);
    },
  };
}
