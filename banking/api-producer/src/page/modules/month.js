// The statement of a month. The bank makes it in the background, however long it takes, and the page
// shows how far it is; it can be left meanwhile, and finds it again.

import { money } from "./amounts.js";
import { announce, byId, element, onSubmit, say } from "./elements.js";
import { ask } from "./http.js";
import { drawKey } from "./key.js";
import { locale, tell } from "./language.js";
import { save } from "./save.js";
import { current } from "./session.js";

const PATH = "/api/account/statements";
/** Months to choose from, this one among them. */
const MONTHS = 24;
/** Between two looks at how far it is. */
const LOOK_EVERY_MS = 500;

const NAME = new Intl.DateTimeFormat(locale, { month: "long", year: "numeric", timeZone: "UTC" });
const COUNT = new Intl.NumberFormat(locale);

export function month() {
  const form = byId("month-form");
  const problems = byId("month-error");
  const result = byId("month-result");
  /** What is asked for, as long as nobody knows whether the bank heard of it. */
  let order = null;
  /** The statement that is shown. */
  let shown = null;
  let run = 0;

  async function make() {
    const body = { month: byId("month-choice").value, time_zone: timeZone() };
    if (order?.body.month !== body.month) order = { body, key: drawKey() };
    try {
      const begun = await ask("POST", PATH, order);
      order = null;
      follow(begun);
    } catch (failure) {
      if (failure.isFinal) order = null;
      throw failure;
    }
  }

  /** Shows how far it is until it is over, or another is asked for. */
  async function follow(statement) {
    run += 1;
    const [own, session] = [run, current()];
    const isWanted = () => own === run && session === current();
    let latest = statement;
    while (isWanted()) {
      show(latest);
      if (isOver(latest)) {
        if (latest.state === "made") announce(wordsOf(latest));
        return;
      }
      await new Promise((after) => setTimeout(after, LOOK_EVERY_MS));
      if (!isWanted()) return;
      latest = await look(latest);
    }
  }

  /** How far it is now, or as before if the bank does not say. */
  async function look(statement) {
    try {
      const latest = await ask("GET", `${PATH}/${statement.id}`);
      say(problems, null);
      return latest;
    } catch (failure) {
      if (!failure.stale) say(problems, failure.message);
      return failure.isFinal ? { ...statement, state: "failed" } : statement;
    }
  }

  function show(statement) {
    shown = statement;
    const isMade = statement.state === "made";
    const progress = byId("month-progress");
    const hadFocus = progress.contains(document.activeElement);
    progress.hidden = isOver(statement);
    result.hidden = !isMade;
    byId("month-how-far").textContent = wordsOf(statement);
    const bar = byId("month-bar");
    if (statement.state === "waiting") bar.removeAttribute("value");
    else bar.value = statement.total === 0 ? 1 : statement.done / statement.total;
    if (isMade) showResult(statement);
    else if (isOver(statement)) say(problems, wordsOf(statement));
    // The button that was pressed is gone.
    if (isOver(statement) && hadFocus) (isMade ? result : byId("month-choice")).focus({ preventScroll: true });
  }

  function showResult(statement) {
    const facts = [
      [tell("month.opening"), money.format(statement.result.opening_balance)],
      [tell("month.in"), money.format(statement.result.paid_in)],
      [tell("month.out"), money.format(statement.result.paid_out)],
      [tell("month.closing"), money.format(statement.result.closing_balance)],
      [tell("month.entries"), COUNT.format(statement.result.entries)],
    ];
    byId("month-of").textContent = wordsOf(statement);
    byId("month-facts").replaceChildren(
      ...facts.map(([name, fact]) => element("div", {}, element("dt", {}, name), element("dd", {}, fact))),
    );
  }

  async function cancel() {
    try {
      follow(await ask("POST", `${PATH}/${shown.id}/cancel`));
    } catch (failure) {
      if (!failure.stale) say(problems, failure.message);
    }
  }

  async function saveEntries() {
    try {
      const csv = await ask("GET", `${PATH}/${shown.id}/entries.csv`, { as: "text" });
      save(csv, tell("month.file", { month: shown.month }));
      say(problems, null);
    } catch (failure) {
      if (!failure.stale) say(problems, failure.message);
    }
  }

  onSubmit(form, problems, make);
  byId("month-cancel").addEventListener("click", cancel);
  byId("month-export").addEventListener("click", saveEntries);

  return {
    /** Begins anew, or with the statement that is being made or was made last. */
    async enter() {
      run += 1;
      order = null;
      byId("month").open = false;
      byId("month-progress").hidden = true;
      result.hidden = true;
      say(problems, null);
      byId("month-choice").replaceChildren(
        ...lately().map((value) => element("option", { value }, nameOf(value))),
      );
      const own = run;
      try {
        const [newest] = await ask("GET", PATH);
        if (own !== run || !newest || ["cancelled", "failed"].includes(newest.state)) return;
        byId("month").open = !isOver(newest);
        if (isOver(newest)) show(newest);
        else follow(newest);
      } catch {
        // It is a convenience: another can be asked for.
      }
    },
  };
}

function isOver({ state }) {
  return state !== "waiting" && state !== "running";
}

/** How far a statement is, or whose it is when it is made. */
function wordsOf({ state, month: value, done, total, result }) {
  const name = nameOf(value);
  if (state === "waiting") return tell("month.waiting");
  if (state === "running") {
    return tell("month.running", { done: COUNT.format(done), total: COUNT.format(total) });
  }
  if (state === "cancelled") return tell("month.cancelled");
  if (state === "failed") return tell("month.failed");
  return result.is_whole ? tell("month.of", { month: name }) : tell("month.soFar", { month: name });
}

/** "March 2026" for "2026-03". */
function nameOf(value) {
  const [year, number] = value.split("-").map(Number);
  return NAME.format(new Date(Date.UTC(year, number - 1, 1)));
}

/** This month and those before it, as the bank writes them. */
function lately() {
  const now = new Date();
  return Array.from({ length: MONTHS }, (_, back) => {
    const first = new Date(Date.UTC(now.getFullYear(), now.getMonth() - back, 1));
    return first.toISOString().slice(0, 7);
  });
}

function timeZone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}
