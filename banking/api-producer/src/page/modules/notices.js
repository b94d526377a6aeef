// What the bank told the user: the list, page by page, and how many are unread.

import { byId, element, say } from "./elements.js";
import { ask } from "./http.js";
import { tell } from "./language.js";
import { days, nothing, timeOf } from "./lists.js";
import { understood } from "./told.js";

/** As many as are shown at first, and with each press of the button. */
const PAGE_SIZE = 50;

export function notices(place) {
  const problems = element("p", { class: "message message-error", role: "alert", hidden: "" });
  const all = element("button", { type: "button", class: "secondary", hidden: "", onclick: () => mark({}) }, tell("notices.readAll"));
  const older = element("button", { type: "button", class: "secondary", hidden: "", onclick: more }, tell("notices.older"));
  const items = element("div", { class: "days" });
  place.replaceChildren(problems, items, element("div", { class: "row row-end" }, older, all));
  place.tabIndex = -1;
  let pages = 1;
  let asked = 0;

  async function refresh() {
    asked += 1;
    const ticket = asked;
    try {
      const fetched = await Promise.all(Array.from({ length: pages }, (_, at) => page(at + 1)));
      if (ticket === asked) show(fetched);
    } catch (failure) {
      if (ticket === asked && !failure.stale) say(problems, failure.message);
    }
  }

  function page(number) {
    const query = { page: number, size: PAGE_SIZE };
    return ask("GET", "/api/notifications/notifications", { query });
  }

  async function more() {
    pages += 1;
    await refresh();
    // The button that had the focus may be gone.
    if (older.hidden) place.focus();
  }

  async function mark(body) {
    try {
      await ask("POST", "/api/notifications/read", { body });
      // The button that had the focus goes away.
      place.focus();
    } catch (failure) {
      if (!failure.stale) say(problems, failure.message);
      return;
    }
    await refresh();
  }

  function row(notice) {
    const { text: message } = understood(notice.message);
    const isUnread = isNew(notice);
    const button = element(
      "button",
      {
        type: "button",
        class: "quiet",
        "aria-label": tell("notices.readName", { message }),
        onclick: () => mark({ ids: [notice.id] }),
      },
      tell("notices.read"),
    );
    return element(
      "li",
      { class: isUnread ? "line notice notice-unread" : "line notice" },
      element("span", { class: "dot", "aria-hidden": "true" }),
      element("div", { class: "line-what" }, element("p", {}, message), element("p", { class: "line-notes" }, timeOf(notice.created_at))),
      isUnread ? button : null,
    );
  }

  function show(fetched) {
    say(problems, null);
    // One that arrived between two pages is on both.
    const listed = [...new Map(fetched.flat().map((notice) => [notice.id, notice])).values()];
    const unread = listed.filter(isNew).length;
    const isAll = fetched.at(-1).length < PAGE_SIZE;
    items.replaceChildren(...(listed.length ? days(listed, row) : [nothing(tell("notices.empty"))]));
    all.hidden = unread === 0;
    older.hidden = isAll;
    count(unread === PAGE_SIZE * pages ? `${unread}+` : unread);
  }

  return {
    enter() {
      pages = 1;
      say(problems, null);
      items.replaceChildren(nothing(tell("loading")));
      all.hidden = true;
      older.hidden = true;
      count(0);
    },
    refresh,
  };
}

/** Whether it tells the user something that they have not read. */
function isNew(notice) {
  return !notice.is_read && understood(notice.message).isNews;
}

/** Says how many are unread, wherever that is shown. */
function count(unread) {
  for (const place of [byId("bell-count"), byId("tab-count")]) {
    say(place, unread ? String(unread) : null);
  }
  const name = unread ? tell("notices.unread", { count: unread }) : tell("notices.none");
  byId("bell").setAttribute("aria-label", name);
  document.title = unread ? `(${unread}) ${tell("bankName")}` : tell("bankName");
}
