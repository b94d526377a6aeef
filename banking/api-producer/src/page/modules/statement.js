// The entries on the user's account: all of them, or those that they look for.

import { money } from "./amounts.js";
import { byId } from "./elements.js";
import { ask } from "./http.js";
import { tell } from "./language.js";
import { line, list, timeOf } from "./lists.js";
import { month } from "./month.js";
import { groupDigits } from "./overview.js";
import { save as saveFile } from "./save.js";
import { beginningOf, momentOf } from "./time.js";

/** After the last letter that was typed it is looked for. */
const SEARCH_AFTER_MS = 250;

export function statement(place, showDetails) {
  const form = byId("statement-search");
  const search = byId("search");
  const from = byId("search-from");
  const to = byId("search-to");
  let timer;

  function query() {
    const looked = {};
    if (search.value.trim()) looked.search = search.value.trim();
    if (from.value) looked.from = beginningOf(from.value);
    if (to.value) looked.to = beginningOf(to.value, 1);
    return looked;
  }

  const isFiltered = () => Object.keys(query()).length > 0;
  const empty = () => tell(isFiltered() ? "statement.nothingFound" : "statement.empty");
  const row = (entry) => {
    const title = titleOf(entry);
    const amount = money.formatChange(entry.amount);
    return line({
      title,
      reference: entry.reference,
      notes: [timeOf(entry.created_at), ...(entry.counterparty ? [groupDigits(entry.counterparty)] : [])],
      amount,
      incoming: entry.amount > 0,
      aside: money.format(entry.balance),
      open: () => showDetails(title, factsOf(entry), entry.id),
    });
  };
  const entries = list(place, "/api/account/statement", row, { empty, query, tools: [form, byId("month")] });
  const ofMonth = month();

  function look() {
    clearTimeout(timer);
    byId("search-clear").hidden = !isFiltered();
    entries.restart();
  }

  async function save() {
    try {
      const csv = await ask("GET", "/api/account/statement.csv", { query: query(), as: "text" });
      entries.complain(null);
      saveFile(csv, tell("statement.file"));
    } catch (failure) {
      if (!failure.stale) entries.complain(failure.message);
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    look();
  });
  form.addEventListener("reset", () => setTimeout(look));
  for (const field of [from, to]) field.addEventListener("change", look);
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, SEARCH_AFTER_MS);
  });
  byId("export").addEventListener("click", save);
  byId("print").addEventListener("click", () => window.print());

  return {
    ...entries,
    enter() {
      for (const field of [search, from, to]) field.value = "";
      byId("search-clear").hidden = true;
      entries.enter();
      ofMonth.enter();
    },
  };
}

function titleOf({ kind, amount, counterparty, counterparty_username: name }) {
  if (kind !== "transfer") return tell(`entry.${kind}`);
  const values = { name: name ?? groupDigits(counterparty ?? "") };
  return tell(amount < 0 ? "entry.to" : "entry.from", values);
}

function factsOf({ number, kind, amount, balance, counterparty, counterparty_username: name, reference, created_at: at }) {
  return [
    ["details.amount", money.formatChange(amount)],
    ["reference", reference],
    ["details.kind", tell(`entry.${kind}`)],
    ["details.with", name],
    ["account.number", counterparty ? groupDigits(counterparty) : null],
    ["details.when", momentOf(at)],
    ["details.balance", money.format(balance)],
    ["details.number", String(number)],
  ];
}
