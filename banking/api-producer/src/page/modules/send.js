// Sending money: whom and how much, then a look at both, then the order.

import { amountIn } from "./cash.js";
import { Desk } from "./desk.js";
import { byId, Mistake, onSubmit, required, say } from "./elements.js";
import { ask } from "./http.js";
import { format } from "./money.js";
import { Order } from "./order.js";
import { groupDigits } from "./overview.js";

export function send(settled) {
  const form = byId("send-form");
  const to = byId("send-to");
  const amount = byId("send-amount");
  const problems = byId("send-form-error");
  const holder = byId("send-holder");
  const review = byId("send-review");
  let reviewed = null;

  const byAccount = () => form.elements["send-by"].value === "account";

  function showForm() {
    reviewed = null;
    review.hidden = true;
    form.hidden = false;
  }

  function chooseBy() {
    byId("send-to-label").textContent = byAccount() ? "Account number" : "Username";
    to.inputMode = byAccount() ? "numeric" : "text";
    say(holder, null);
  }

  const desk = new Desk(byId("send-outcome"), {
    open: () => {
      form.hidden = true;
      review.hidden = true;
    },
    free: (done) => {
      showForm();
      if (done) {
        to.value = "";
        amount.value = "";
        say(holder, null);
      }
    },
    settled,
  });

  /** Who gets it: the bank knows whose account a number is, and the user knows the name. */
  async function recipient() {
    if (!byAccount()) {
      const username = required(to, "A username");
      return { order: { to_username: username }, name: username, number: null };
    }
    const number = required(to, "An account number").replace(/[\s-]/g, "");
    const found = await lookUp(number);
    return { order: { to_account_number: number }, name: found.username, number };
  }

  async function lookUp(number) {
    try {
      return await ask("GET", "/api/account/lookup", { query: { account_number: number } });
    } catch (failure) {
      if (failure.status === 404) throw new Mistake(to, "There is no account with this number.");
      if (failure.status === 400) throw new Mistake(to, failure.message);
      throw failure;
    }
  }

  function showReview({ order, name, number }, minorUnits) {
    reviewed = new Order("send", { ...order, amount: minorUnits }, name);
    byId("send-review-amount").textContent = format(minorUnits);
    byId("send-review-to").textContent = name;
    byId("send-review-number").textContent = number ? groupDigits(number) : "";
    form.hidden = true;
    review.hidden = false;
    byId("send-review-title").focus();
  }

  /** Says whose account it is as soon as the number is complete. */
  async function previewHolder() {
    say(holder, null);
    const number = to.value.replace(/[\s-]/g, "");
    if (!byAccount() || !/^\d{6,20}$/.test(number)) return;
    const asked = to.value;
    const text = await lookUp(number).then(
      ({ username }) => `Held by ${username}`,
      (failure) => (failure instanceof Mistake ? failure.message : null),
    );
    if (to.value === asked && byAccount()) say(holder, text);
  }

  for (const radio of form.elements["send-by"]) {
    radio.addEventListener("change", () => {
      to.value = "";
      chooseBy();
    });
  }
  to.addEventListener("change", previewHolder);
  onSubmit(form, problems, async () => {
    desk.clear();
    required(to, byAccount() ? "An account number" : "A username");
    const minorUnits = amountIn(amount);
    showReview(await recipient(), minorUnits);
  });
  byId("send-confirm").addEventListener("click", () => {
    const order = reviewed;
    reviewed = null;
    if (order) desk.carryOut(order);
  });
  byId("send-change").addEventListener("click", () => {
    showForm();
    to.focus();
  });

  return {
    kind: "send",
    /** Begins anew, or with the transfer that was left open; returns whether there is one. */
    enter() {
      form.reset();
      chooseBy();
      problems.hidden = true;
      showForm();
      return desk.resume("send");
    },
  };
}
