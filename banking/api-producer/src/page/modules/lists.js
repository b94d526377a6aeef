// Long lists, a page at a time: the statement, and transfers.

import { element, say } from "./elements.js";
import { ask } from "./http.js";
import { format, formatChange } from "./money.js";
import { groupDigits } from "./overview.js";
import { clockOf, dayOf } from "./time.js";

const PAGE_SIZE = 10;

/** What `path` lists, shown at `place`; `row` makes an element of an item. */
function list(place, path, row, empty) {
  const problems = element("p", { class: "message message-error", role: "alert", hidden: "" });
  const items = element("div", { class: "days" });
  const older = element("button", { type: "button", class: "secondary", onclick: () => turn(1) }, "Older");
  const newer = element("button", { type: "button", class: "secondary", onclick: () => turn(-1) }, "Newer");
  const where = element("p", { role: "status" });
  const pager = element("nav", { class: "pager", "aria-label": "Pages", hidden: "" }, newer, where, older);
  place.replaceChildren(problems, items, pager);
  let page = 1;
  let pages = 0;
  let asked = 0;

  function turn(by) {
    const to = page + by;
    if (to < 1 || to > pages) return;
    page = to;
    refresh();
  }

  async function refresh() {
    asked += 1;
    const ticket = asked;
    try {
      const fetched = await ask("GET", path, { query: { page, size: PAGE_SIZE } });
      // A later question has its own answer.
      if (ticket === asked) show(fetched);
    } catch (failure) {
      if (ticket === asked && !failure.stale) {
        say(problems, failure.message);
        if (pages === 0) items.replaceChildren();
      }
    }
  }

  function show(fetched) {
    say(problems, null);
    pages = fetched.pages;
    items.replaceChildren(...(fetched.items.length ? days(fetched.items, row) : [nothing(empty)]));
    pager.hidden = pages < 2;
    say(where, `${fetched.page} of ${pages}`);
    // Not `disabled`: the focus would be lost on the last page.
    newer.setAttribute("aria-disabled", String(page <= 1));
    older.setAttribute("aria-disabled", String(page >= pages));
  }

  return {
    enter() {
      page = 1;
      pages = 0;
      pager.hidden = true;
      say(problems, null);
      items.replaceChildren(nothing("Loading …"));
    },
    refresh,
  };
}

export function nothing(text) {
  return element("p", { class: "nothing" }, text);
}

/** Items of one day under its name. */
export function days(items, row) {
  const groups = [];
  for (const item of items) {
    const day = dayOf(item.created_at);
    if (groups.at(-1)?.day !== day) groups.push({ day, rows: [] });
    groups.at(-1).rows.push(row(item));
  }
  return groups.map(({ day, rows }) =>
    element("section", { class: "day" }, element("h3", {}, day), element("ul", {}, ...rows)),
  );
}

export function timeOf(timestamp) {
  return element("time", { datetime: timestamp }, clockOf(timestamp));
}

/** One line: what it was, how it stands, and how much. */
function line({ title, notes, amount, incoming, aside, muted }) {
  const mark = incoming ? "in" : "out";
  return element(
    "li",
    { class: muted ? "line line-muted" : "line" },
    element("span", { class: `mark mark-${mark}`, "aria-hidden": "true" }),
    element("div", { class: "line-what" }, element("p", {}, title), element("p", { class: "line-notes" }, ...notes)),
    element(
      "div",
      { class: "line-amount" },
      element("p", { class: `amount-${mark}` }, amount),
      aside ? element("p", { class: "line-notes" }, aside) : null,
    ),
  );
}

const KINDS = { opening: "Account opened", deposit: "Deposit", withdrawal: "Withdrawal" };

function entryTitle({ kind, amount, counterparty, counterparty_username: name }) {
  if (kind !== "transfer") return KINDS[kind] ?? kind;
  return `${amount < 0 ? "To" : "From"} ${name ?? groupDigits(counterparty ?? "")}`;
}

/** The entries on the user's account. */
export function statement(place) {
  const row = (entry) =>
    line({
      title: entryTitle(entry),
      notes: [timeOf(entry.created_at), ...(entry.counterparty ? [groupDigits(entry.counterparty)] : [])],
      amount: formatChange(entry.amount),
      incoming: entry.amount > 0,
      aside: format(entry.balance),
    });
  return list(place, "/api/account/statement", row, "Nothing has moved yet.");
}

const STATUSES = { pending: "In progress", rejected: "Not made" };

/** Transfers that the user made or was sent, whatever became of them. */
export function transfers(place) {
  const row = ({ direction, from, to, from_account_number, to_account_number, amount, status, created_at }) => {
    const incoming = direction === "received";
    return line({
      title: incoming ? `From ${from}` : `To ${to}`,
      notes: [timeOf(created_at), groupDigits(incoming ? from_account_number : to_account_number)],
      amount: formatChange(incoming ? amount : -amount),
      incoming,
      aside: STATUSES[status] ?? null,
      muted: status !== "completed",
    });
  };
  return list(place, "/api/transfer/transactions", row, "No transfers yet. Send somebody something.");
}
