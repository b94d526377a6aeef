// Long lists, a page at a time, and the lines they are made of.

import { element, say } from "./elements.js";
import { ask } from "./http.js";
import { tell } from "./language.js";
import { clockOf, dayOf } from "./time.js";

const PAGE_SIZE = 10;

/**
 * What `path` lists, shown at `place` below `tools`; `row` makes an element of an item, `empty` says
 * that there is none. `query` is what to look for.
 */
export function list(place, path, row, { empty, query = () => ({}), tools = [] }) {
  const problems = element("p", { class: "message message-error", role: "alert", hidden: "" });
  const items = element("div", { class: "days" });
  const older = element("button", { type: "button", class: "secondary", onclick: () => turn(1) }, tell("pages.older"));
  const newer = element("button", { type: "button", class: "secondary", onclick: () => turn(-1) }, tell("pages.newer"));
  const where = element("p", { role: "status" });
  const pager = element("nav", { class: "pager", "aria-label": tell("pages"), hidden: "" }, newer, where, older);
  place.replaceChildren(...tools, problems, items, pager);
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
      const fetched = await ask("GET", path, { query: { ...query(), page, size: PAGE_SIZE } });
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
    items.replaceChildren(...(fetched.items.length ? days(fetched.items, row) : [nothing(empty())]));
    pager.hidden = pages < 2;
    say(where, tell("pages.where", { page: fetched.page, pages }));
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
      items.replaceChildren(nothing(tell("loading")));
    },
    /** Begins with the first page: something else is looked for. */
    restart() {
      page = 1;
      return refresh();
    },
    refresh,
    /** Says what went wrong beside the list itself. */
    complain: (text) => say(problems, text),
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

/** One line: what it was, how it stands, and how much. It opens by being pressed anywhere. */
export function line({ title, notes, reference, amount, incoming, aside, muted, open }) {
  const mark = incoming ? "in" : "out";
  const name = tell("entry.details", { title, amount });
  return element(
    "li",
    { class: muted ? "line line-muted" : "line" },
    element("span", { class: `mark mark-${mark}`, "aria-hidden": "true" }),
    element(
      "div",
      { class: "line-what" },
      element("button", { type: "button", class: "line-open", "aria-label": name, "aria-haspopup": "dialog", onclick: open }, title),
      reference ? element("p", { class: "line-reference" }, reference) : null,
      element("p", { class: "line-notes" }, ...notes),
    ),
    element(
      "div",
      { class: "line-amount" },
      element("p", { class: `amount-${mark}` }, amount),
      aside ? element("p", { class: "line-notes" }, aside) : null,
    ),
  );
}
