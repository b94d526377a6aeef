// What waits on the broker until it is due.

import { ask } from "./ask.js";
import { byId, element, say } from "./elements.js";
import { tell } from "./language.js";
import { count, date } from "./numbers.js";

export function delayed() {
  async function look() {
    say(byId("delayed-error"), null);
    try {
      const queues = await ask("GET", "/delayed-messages");
      const rows = queues.flatMap(({ queue, messages }) => messages.map((message) => row(queue, message)));
      byId("delayed").replaceChildren(...rows);
      const total = queues.reduce((sum, queue) => sum + queue.total, 0);
      byId("delayed-text").textContent = tell("delayed.shown", { shown: rows.length, total: count(total) });
    } catch (failure) {
      say(byId("delayed-error"), failure.message);
    }
  }

  byId("delayed-look").addEventListener("click", look);
  return {
    clear() {
      byId("delayed").replaceChildren();
      byId("delayed-text").textContent = "";
    },
  };
}

function row(queue, message) {
  const about = element(
    "div",
    { class: "about" },
    element("strong", {}, `${queue} ${message.method}`),
    element("span", { class: "badge" }, tell(`delayed.${message.kind}`)),
    element("span", { class: "hint" }, tell("delayed.due", { time: date(message.due_at) })),
  );
  return element("li", {}, about);
}
