// The breakers that are not closed, each with its reset.

import { ask } from "./ask.js";
import { announce, byId, element, refocus, say } from "./elements.js";
import { tell } from "./language.js";
import { keyed } from "./rows.js";

export function breakers() {
  const show = keyed(byId("breakers"), make);
  byId("reset-all").addEventListener("click", () => reset({}));
  return {
    show(status) {
      const all = Object.entries(status.breakers).flatMap(([queue, { patterns }]) =>
        Object.entries(patterns).map(([method, state]) => ({ queue, method, ...state })),
      );
      const open = all.filter((breaker) => breaker.status !== "CLOSED");
      show(open, ({ queue, method }) => `${queue} ${method}`);
      byId("reset-all").hidden = open.length === 0;
      const words = open.length === 0 ? "breakers.closed" : "breakers.open";
      const text = tell(words, { count: all.length, open: open.length });
      if (byId("breakers-text").textContent !== text) byId("breakers-text").textContent = text;
    },
  };
}

function make({ queue, method }) {
  const state = element("span", { class: "badge" });
  const failures = element("span", { class: "hint" });
  const button = element(
    "button",
    {
      type: "button",
      class: "secondary",
      "aria-label": tell("breakers.resetName", { queue, method }),
      onclick: () => reset({ queue, method }),
    },
    tell("breakers.reset"),
  );
  const about = element("div", { class: "about" }, element("strong", {}, `${queue} ${method}`), state, failures);
  const row = element("li", {}, about, button);
  return {
    row,
    update({ status, failureCount, timeout }) {
      state.textContent = tell(`breaker.${status}`);
      state.dataset.state = status;
      failures.textContent = tell("breakers.why", { failures: failureCount, seconds: timeout / 1000 });
    },
  };
}

async function reset(which) {
  say(byId("breakers-error"), null);
  try {
    const { reset: closed } = await ask("POST", "/circuit-breakers/reset", which);
    announce(tell("breakers.done", { count: closed }));
    byId("breakers-title").focus();
  } catch (failure) {
    say(byId("breakers-error"), failure.message);
  }
  refocus(byId("breakers-title"));
}
