// What the bank told the user: the list, how many are unread, and a word when one arrives.

import { byId, element, say } from "./elements.js";
import { ask } from "./http.js";
import { days, nothing, timeOf } from "./lists.js";

/** The bank lists no more than these. */
const LIST_MAX = 50;
const TOAST_MS = 6_000;
const TOASTS_MAX = 2;

export function notices(place) {
  const problems = element("p", { class: "message message-error", role: "alert", hidden: "" });
  const all = element("button", { type: "button", class: "secondary", hidden: "", onclick: () => mark({}) }, "Mark all as read");
  const items = element("div", { class: "days" });
  place.replaceChildren(problems, items, element("div", { class: "row row-end" }, all));
  place.tabIndex = -1;
  let asked = 0;

  async function refresh() {
    asked += 1;
    const ticket = asked;
    try {
      const fetched = await ask("GET", "/api/notifications/notifications");
      if (ticket === asked) show(fetched);
    } catch (failure) {
      if (ticket === asked && !failure.stale) say(problems, failure.message);
    }
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
    const message = notice.message;
    const button = element(
      "button",
      { type: "button", class: "quiet", "aria-label": `Mark as read: ${message}`, onclick: () => mark({ ids: [notice.id] }) },
      "Mark read",
    );
    return element(
      "li",
      { class: notice.is_read ? "line notice" : "line notice notice-unread" },
      element("span", { class: "dot", "aria-hidden": "true" }),
      element("div", { class: "line-what" }, element("p", {}, message), element("p", { class: "line-notes" }, timeOf(notice.created_at))),
      notice.is_read ? null : button,
    );
  }

  function show(fetched) {
    say(problems, null);
    const unread = fetched.filter((notice) => !notice.is_read).length;
    const empty = "Nothing yet. When money moves between you and somebody, it says so here.";
    items.replaceChildren(...(fetched.length ? days(fetched, row) : [nothing(empty)]));
    all.hidden = unread === 0;
    count(unread === LIST_MAX ? `${unread}+` : unread);
  }

  return {
    enter() {
      say(problems, null);
      items.replaceChildren(nothing("Loading …"));
      all.hidden = true;
      count(0);
    },
    refresh,
  };
}

/** Says how many are unread, wherever that is shown. */
function count(unread) {
  for (const place of [byId("bell-count"), byId("tab-count")]) {
    say(place, unread ? String(unread) : null);
  }
  byId("bell").setAttribute("aria-label", `Notifications, ${unread || "none"} unread`);
  document.title = unread ? `(${unread}) The Bank` : "The Bank";
}

/** Shows a message for a moment. */
export function toast(message) {
  const toasts = byId("toasts");
  const shown = element("p", { class: "toast" }, message);
  toasts.append(shown);
  while (toasts.childElementCount > TOASTS_MAX) toasts.firstElementChild.remove();
  setTimeout(() => shown.remove(), TOAST_MS);
}

/** Takes the messages away: they are not for whoever comes next. */
export function forgetToasts() {
  byId("toasts").replaceChildren();
  document.title = "The Bank";
}
