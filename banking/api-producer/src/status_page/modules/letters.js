// Dead letters of one queue: looked at, put back, thrown away. What they say has no secrets in it any
// more when it comes here.

import { ask } from "./ask.js";
import { confirmed } from "./confirm.js";
import { announce, byId, element, say } from "./elements.js";
import { tell } from "./language.js";
import { count, date } from "./numbers.js";

export function letters() {
  const queue = byId("letters-queue");
  const options = new Map();

  async function look() {
    say(byId("letters-error"), null);
    try {
      const { total, letters: listed } = await ask("GET", `/dead-letters?${new URLSearchParams({ queue: queue.value })}`);
      byId("letters").replaceChildren(...listed.map((letter) => row(letter, deal)));
      byId("letters-text").textContent = tell("letters.shown", { shown: listed.length, total: count(total) });
      byId("letters-all").hidden = total === 0;
    } catch (failure) {
      say(byId("letters-error"), failure.message);
    }
  }

  /** Has letters put back or thrown away, if that is meant. */
  async function deal(what, which, twice = false) {
    const asked = which.all ? `letters.${what}AllSure` : `letters.${what}Sure`;
    const question = twice ? "letters.twiceSure" : asked;
    if (!(await confirmed(tell(question, { queue: queue.value }), tell(`letters.${what}`)))) return;
    say(byId("letters-error"), null);
    try {
      const body = { queue: queue.value, ...which, ...(twice ? { twice } : {}) };
      const done = await ask("POST", `/dead-letters/${what}`, body);
      const dealt = done.redriven ?? done.purged;
      await look();
      announce(tell(`letters.${what}Done`, { count: dealt }));
      byId("letters-title").focus();
      if (done.why_stayed) say(byId("letters-error"), tell("letters.stayed", { count: done.stayed, why: done.why_stayed }));
      if (done.needs_twice) await deal(what, which, true);
    } catch (failure) {
      say(byId("letters-error"), failure.message);
    }
  }

  byId("letters-look").addEventListener("click", look);
  queue.addEventListener("change", clear);
  byId("redrive-all").addEventListener("click", () => deal("redrive", { all: true }));
  byId("purge-all").addEventListener("click", () => deal("purge", { all: true }));

  function clear() {
    byId("letters").replaceChildren();
    byId("letters-text").textContent = "";
    byId("letters-all").hidden = true;
    say(byId("letters-error"), null);
  }

  return {
    show({ services }) {
      for (const { queue: name, dead_letters: dead } of services) {
        if (dead === null && !options.has(name)) continue;
        if (!options.has(name)) {
          options.set(name, element("option", { value: name }));
          queue.append(options.get(name));
        }
        const text = `${name} (${count(dead)})`;
        if (options.get(name).textContent !== text) options.get(name).textContent = text;
      }
    },
    clear,
  };
}

function row(letter, deal) {
  const named = { id: letter.id ?? "–", method: letter.method || "–" };
  const fact = (words, value) =>
    value === null || value === "" ? null : element("div", {}, element("dt", {}, tell(words)), element("dd", {}, value));
  const facts = element(
    "dl",
    { class: "facts-of-letter" },
    fact("letters.id", letter.id),
    fact("letters.from", letter.from),
    fact("letters.error", letter.malformed ?? letter.error),
    fact("letters.attempts", letter.attempts === null ? null : count(letter.attempts)),
    fact("letters.died", date(letter.died_at)),
    fact("letters.redriven", letter.redriven ? count(letter.redriven) : null),
  );
  const said = letter.arguments === null ? tell("letters.unsaid") : JSON.stringify(letter.arguments, null, 2);
  const button = (what, danger) =>
    element(
      "button",
      {
        type: "button",
        class: danger ? "secondary danger" : "secondary",
        "aria-label": tell(`letters.${what}Name`, named),
        onclick: () => deal(what, { id: letter.id }),
      },
      tell(`letters.${what}`),
    );
  const acts = letter.id ? element("p", { class: "row" }, letter.malformed ? null : button("redrive", false), button("purge", true)) : null;
  const summary = element(
    "summary",
    {},
    element("strong", {}, named.method),
    " ",
    element("span", { class: "badge", "data-state": "down" }, letter.reason || tell("letters.malformed")),
    " ",
    element("span", { class: "hint" }, date(letter.died_at)),
  );
  const name = `${named.method} ${letter.reason}`;
  return element("li", {}, element("details", { "aria-label": name }, summary, facts, element("pre", { tabindex: "0" }, said), acts));
}
