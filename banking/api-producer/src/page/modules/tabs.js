// Tabs, by mouse and by keyboard: arrows, Home and End move between them.

import { byId } from "./elements.js";

/** Brings a list of tabs to life. Returns what shows one of them by the id of its panel. */
export function tabs(list, onShown = () => {}) {
  const all = [...list.querySelectorAll("[role=tab]")];

  function show(panel) {
    for (const tab of all) {
      const chosen = tab.getAttribute("aria-controls") === panel;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      byId(tab.getAttribute("aria-controls")).hidden = !chosen;
    }
    onShown(panel);
  }

  list.addEventListener("click", (event) => {
    const tab = event.target.closest("[role=tab]");
    if (tab) show(tab.getAttribute("aria-controls"));
  });
  list.addEventListener("keydown", (event) => {
    const at = all.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    const tab = all.at(to % all.length);
    show(tab.getAttribute("aria-controls"));
    tab.focus();
  });
  show(all.find((tab) => tab.getAttribute("aria-selected") === "true").getAttribute("aria-controls"));
  return show;
}
