// Standing orders: transfers that the user orders once, and that the bank makes when their time comes.

import { amountField, amountIn, money } from "./amounts.js";
import { byId, element, Mistake, onSubmit, required, say } from "./elements.js";
import { ask } from "./http.js";
import { drawKey } from "./key.js";
import { tell, told } from "./language.js";
import { nothing } from "./lists.js";
import { Note } from "./note.js";
import { endOf, momentOf } from "./time.js";

const PATH = "/api/transfer/standing-orders";
/** As many as one can have at a time. */
const SHOWN_MAX = 100;

export function standing() {
  const place = byId("standing");
  const form = byId("standing-form");
  const problems = byId("standing-error");
  const done = byId("standing-done");
  const list = byId("standing-list");
  const first = byId("standing-first");
  const count = byId("standing-count");
  /** What is ordered, as long as nobody knows whether the bank heard of it, and where that is written
   * down: a reload does not lose its key. */
  let order = null;
  let note = null;

  amountField(byId("standing-amount"));

  async function submit() {
    say(done, null);
    const body = read();
    if (JSON.stringify(order?.body) !== JSON.stringify(body)) order = { body, key: drawKey() };
    const [asked, kept] = [order, note];
    kept.write(asked);
    const close = () => {
      kept.erase();
      // Another user may have come meanwhile.
      if (order === asked) order = null;
    };
    try {
      const ordered = await ask("POST", PATH, asked);
      close();
      begin();
      say(done, tell("standing.done", { what: whatOf(ordered) }));
      await refresh();
    } catch (failure) {
      if (failure.isFinal) close();
      // It may be there all the same. Nobody waits for that look to be told what went wrong.
      else if (!failure.stale) refresh();
      throw failure;
    }
  }

  function read() {
    const body = {
      to_username: required(byId("standing-to"), tell("needed.username")),
      amount: amountIn(byId("standing-amount")),
      first_at: momentIn(first),
      every: byId("standing-unit").value,
      count: countIn(count),
      time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    };
    const reference = byId("standing-reference").value.trim();
    const until = byId("standing-until").value;
    if (reference) body.reference = reference;
    // The whole of that day, and nothing of the next: a payment at midnight is none of the last day.
    if (until) body.until = endOf(until);
    return body;
  }

  /** An empty form, for from tomorrow morning on. */
  function begin() {
    form.reset();
    byId("standing-unit").value = "month";
    count.value = "1";
    const now = new Date();
    const two = (number) => String(number).padStart(2, "0");
    const day = new Date(now.getFullYear(), now.getMonth(), now.getDate() + 1);
    first.value = `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}T09:00`;
  }

  async function refresh() {
    if (!place.open) return;
    try {
      const { items } = await ask("GET", PATH, { query: { page: 1, size: SHOWN_MAX } });
      list.replaceChildren(...(items.length ? items.map(row) : [element("li", {}, nothing(tell("standing.none")))]));
    } catch (failure) {
      if (!failure.stale) say(problems, failure.message);
    }
  }

  function row(standing) {
    const name = tell("standing.cancelName", { what: whatOf(standing) });
    const cancels = { type: "button", class: "quiet", "aria-label": name, onclick: () => cancel(standing) };
    return element(
      "li",
      { class: standing.state === "active" ? "standing-order" : "standing-order line-muted" },
      element("p", { class: "standing-what" }, whatOf(standing)),
      standing.reference ? element("p", { class: "line-reference" }, standing.reference) : null,
      element("p", { class: "line-notes" }, `${everyOf(standing)} · ${nextOf(standing)}`),
      standing.last ? element("p", { class: "line-notes" }, lastOf(standing.last)) : null,
      standing.state === "active" ? element("button", cancels, tell("standing.cancel")) : null,
    );
  }

  async function cancel(standing) {
    try {
      const ended = await ask("POST", `${PATH}/${standing.id}/cancel`);
      say(done, tell("standing.ended", { what: whatOf(ended) }));
      await refresh();
      // The button that was pressed is gone.
      byId("standing-title").focus();
    } catch (failure) {
      if (!failure.stale) say(problems, failure.message);
    }
  }

  onSubmit(form, problems, submit);
  place.addEventListener("toggle", refresh);

  return {
    enter() {
      place.open = false;
      note = new Note("order", "standing");
      order = note.read();
      list.replaceChildren();
      for (const message of [problems, done]) say(message, null);
      begin();
    },
    refresh,
  };
}

/** "€5.00 to bob". */
function whatOf({ amount, to }) {
  return tell("order.amountTo", { amount: money.format(amount), name: to });
}

function everyOf({ every, count }) {
  if (every === "day") return count === 1 ? tell("standing.everyDay") : tell("standing.everyDays", { count });
  if (every === "week") return count === 1 ? tell("standing.everyWeek") : tell("standing.everyWeeks", { count });
  return count === 1 ? tell("standing.everyMonth") : tell("standing.everyMonths", { count });
}

function nextOf({ state, next_at: next }) {
  if (state === "active") return tell("standing.next", { when: momentOf(next) });
  return state === "ended" ? tell("standing.over") : tell("standing.cancelled");
}

function lastOf({ made, due_at: due, reason }) {
  const when = momentOf(due);
  return made ? tell("standing.made", { when }) : tell("standing.failed", { when, reason: told(reason ?? "") });
}

function momentIn(field) {
  const moment = new Date(field.value);
  if (Number.isNaN(moment.getTime())) throw new Mistake(field, tell("standing.needsMoment"));
  return moment.toISOString();
}

function countIn(field) {
  const count = Number(field.value);
  if (!Number.isInteger(count) || count < 1 || count > 366) throw new Mistake(field, tell("standing.needsCount"));
  return count;
}
