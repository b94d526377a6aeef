// The jobs that run: how far they are, and cancelled.

import { ask } from "./ask.js";
import { confirmed } from "./confirm.js";
import { announce, byId, element, say } from "./elements.js";
import { tell } from "./language.js";
import { count, date } from "./numbers.js";

export function jobs() {
  async function look() {
    say(byId("jobs-error"), null);
    try {
      const queues = await ask("GET", "/jobs");
      const rows = queues.flatMap(({ queue, jobs: running }) => running.map((job) => row(queue, job, cancel)));
      const total = queues.reduce((sum, { more }) => sum + more, rows.length);
      byId("jobs").replaceChildren(...rows);
      byId("jobs-text").textContent = tell("jobs.shown", { shown: rows.length, total: count(total) });
    } catch (failure) {
      say(byId("jobs-error"), failure.message);
    }
  }

  async function cancel(queue, { id, method }) {
    if (!(await confirmed(tell("jobs.cancelSure", { method: `${queue} ${method}` }), tell("jobs.cancel")))) return;
    say(byId("jobs-error"), null);
    try {
      await ask("POST", "/jobs/cancel", { queue, id });
      await look();
      announce(tell("jobs.cancelled"));
      byId("jobs-title").focus();
    } catch (failure) {
      say(byId("jobs-error"), failure.message);
    }
  }

  byId("jobs-look").addEventListener("click", look);
  return {
    clear() {
      byId("jobs").replaceChildren();
      byId("jobs-text").textContent = "";
      say(byId("jobs-error"), null);
    },
  };
}

function row(queue, job, cancel) {
  const name = `${queue} ${job.method}`;
  const about = element(
    "div",
    { class: "about" },
    element("strong", {}, name),
    element("span", { class: "hint" }, tell("jobs.since", { time: date(job.since), run: count(job.run) })),
    ...progress(name, job),
  );
  const button = element(
    "button",
    {
      type: "button",
      class: "secondary danger",
      "aria-label": tell("jobs.cancelName", { method: name, id: job.id }),
      onclick: () => cancel(queue, job),
    },
    tell("jobs.cancel"),
  );
  return element("li", {}, about, button);
}

/** How far it is, as far as it says. */
function progress(name, { done, total }) {
  if (done === null) return [];
  if (total === null) return [element("span", { class: "hint" }, tell("jobs.done", { done: count(done) }))];
  return [
    element("progress", { max: total, value: Math.min(done, total), "aria-label": name }),
    element("span", { class: "hint" }, tell("jobs.doneOf", { done: count(done), total: count(total) })),
  ];
}
