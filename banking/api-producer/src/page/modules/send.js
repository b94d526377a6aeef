// Sending money: whom and how much, then a look at both, then the order.

import { amountField, amountIn, money } from "./amounts.js";
import { Desk } from "./desk.js";
import { Draft } from "./draft.js";
import { byId, Mistake, onSubmit, required, say } from "./elements.js";
import { ask } from "./http.js";
import { tell } from "./language.js";
import { Order } from "./order.js";
import { groupDigits } from "./overview.js";
import { recent } from "./recent.js";
import { stepIn, stepOut } from "./step.js";

/** `settled` is called when money may have moved. */
export function send(settled) {
  const form = byId("send-form");
  const to = byId("send-to");
  const amount = byId("send-amount");
  const problems = byId("send-form-error");
  const holder = byId("send-holder");
  const review = byId("send-review");
  const reference = byId("send-reference");
  const draft = new Draft("send", [...form.elements["send-by"], to, amount, reference]);
  const recipients = recent(choose);
  let reviewed = null;
  let endStep = () => {};

  const byAccount = () => form.elements["send-by"].value === "account";

  function showForm() {
    reviewed = null;
    endStep();
    review.hidden = true;
    form.hidden = false;
  }

  function chooseBy() {
    byId("send-to-label").textContent = tell(byAccount() ? "account.number" : "username");
    to.inputMode = byAccount() ? "numeric" : "text";
    say(holder, null);
  }

  function clear() {
    form.reset();
    chooseBy();
    say(problems, null);
  }

  const desk = new Desk(byId("send-outcome"), {
    open: () => {
      endStep();
      form.hidden = true;
      review.hidden = true;
    },
    free: (done) => {
      showForm();
      if (!done) return;
      draft.forget();
      for (const field of [to, amount, reference]) field.value = "";
      say(holder, null);
    },
    settled,
  });

  /** Fills in whom it is for. */
  function choose(name) {
    form.elements["send-by"].value = "username";
    chooseBy();
    to.value = name;
    draft.keep();
    previewHolder();
    amount.focus();
  }

  /** What is asked of the bank about whom it is for, or null as long as that can't be anybody. */
  function asked() {
    const typed = to.value.trim();
    if (!byAccount()) return typed ? { username: typed } : null;
    const number = typed.replace(/[\s-]/g, "");
    return /^\d{6,20}$/.test(number) ? { account_number: number } : null;
  }

  /** Whose account it is: the bank knows the name as it is written, and the number. */
  async function lookUp(query) {
    try {
      return await ask("GET", "/api/account/lookup", { query });
    } catch (failure) {
      const missing = tell(byAccount() ? "send.noNumber" : "send.noName");
      if (failure.status === 404) throw new Mistake(to, missing);
      if (failure.status === 400) throw new Mistake(to, failure.message);
      throw failure;
    }
  }

  /** Says whose account it is as soon as the field is left. */
  async function previewHolder() {
    say(holder, null);
    const query = asked();
    if (!query) return;
    const before = to.value;
    const text = await lookUp(query).then(
      ({ username, account_number: number }) =>
        tell("send.heldBy", { name: byAccount() ? username : `${username}, ${groupDigits(number)}` }),
      (failure) => (failure instanceof Mistake ? failure.message : null),
    );
    if (to.value === before && asked()) say(holder, text);
  }

  /** Looks whether the bank could carry it out now, and says what is in its way. */
  async function check() {
    const typed = required(to, tell(byAccount() ? "needed.account" : "needed.username"));
    const minorUnits = amountIn(amount);
    const query = asked() ?? { account_number: typed };
    const [found, own] = await Promise.all([lookUp(query), ask("GET", "/api/account/me")]);
    if (found.account_number === own.account_number) throw new Mistake(to, tell("send.yourself"));
    if (BigInt(own.balance) < BigInt(minorUnits)) {
      throw new Mistake(amount, tell("send.tooLittle", { balance: money.format(own.balance) }));
    }
    return { found, minorUnits, balance: own.balance };
  }

  function showReview({ found, minorUnits, balance }) {
    const whom = byAccount() ? { to_account_number: found.account_number } : { to_username: found.username };
    const words = reference.value.trim();
    const body = { ...whom, amount: minorUnits, ...(words ? { reference: words } : {}) };
    reviewed = new Order("send", body, found.username);
    byId("send-review-amount").textContent = money.format(minorUnits);
    byId("send-review-to").textContent = found.username;
    byId("send-review-number").textContent = groupDigits(found.account_number);
    say(byId("send-review-reference"), words);
    const left = money.format(BigInt(balance) - BigInt(minorUnits));
    byId("send-review-left").textContent = tell("send.afterwards", { balance: left });
    form.hidden = true;
    review.hidden = false;
    byId("send-review-title").focus();
    endStep = stepIn(() => {
      showForm();
      to.focus();
    });
  }

  for (const radio of form.elements["send-by"]) {
    radio.addEventListener("change", () => {
      to.value = "";
      draft.keep();
      chooseBy();
    });
  }
  amountField(amount);
  to.addEventListener("input", () => say(holder, null));
  to.addEventListener("change", previewHolder);
  onSubmit(form, problems, async () => {
    desk.clear();
    showReview(await check());
  });
  byId("send-confirm").addEventListener("click", () => {
    const order = reviewed;
    reviewed = null;
    if (order) desk.carryOut(order);
  });
  byId("send-change").addEventListener("click", stepOut);

  return {
    kind: "send",
    /** Begins anew, with what was typed before or the transfer that was left open; returns whether
     * there is such a transfer. */
    enter() {
      clear();
      draft.recall();
      chooseBy();
      showForm();
      recipients.enter();
      return desk.resume("send");
    },
    refresh: recipients.refresh,
    /** Forgets what was typed. */
    forget: () => draft.forget(),
  };
}
