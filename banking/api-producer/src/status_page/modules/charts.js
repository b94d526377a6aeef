// What happened lately, as lines: requests a second and how long they took. The page remembers what it
// was told, and nobody else does.

import { byId } from "./elements.js";
import { tell } from "./language.js";
import { count } from "./numbers.js";

/** Five minutes, a word every two seconds. */
const KEPT = 150;
const WIDTH = 300;
const HEIGHT = 80;

export function charts() {
  let samples = [];
  return {
    show({ gateway, services }) {
      const failing = services.reduce((sum, service) => sum + (service.failures_per_second ?? 0), 0);
      const { requests } = gateway;
      if (requests) samples = [...samples, { ...requests, failing }].slice(-KEPT);
      const now = samples.at(-1);
      if (!now) return;
      const of = (name) => samples.map((sample) => sample[name] ?? 0);
      const calls = of("requests_per_second");
      const failures = samples.map((sample) => sample.failures_per_second + sample.failing);
      draw("traffic", [calls, failures], "traffic.text", {
        now: count(calls.at(-1)),
        most: count(Math.max(...calls)),
        failures: count(failures.at(-1)),
      });
      const slow = of("latency_p95_ms");
      draw("latency", [of("latency_p50_ms"), slow], "latency.text", {
        half: count(now.latency_p50_ms),
        slow: count(now.latency_p95_ms),
        most: count(Math.max(...slow)),
      });
    },
    clear() {
      samples = [];
    },
  };
}

function draw(id, series, words, values) {
  const picture = byId(id);
  const most = Math.max(1, ...series.flat());
  series.forEach((line, at) => {
    const across = WIDTH / Math.max(1, KEPT - 1);
    const from = KEPT - line.length;
    const points = line.map((value, place) => {
      const height = HEIGHT - 2 - (value / most) * (HEIGHT - 4);
      return `${((from + place) * across).toFixed(1)},${height.toFixed(1)}`;
    });
    picture.children[at].setAttribute("points", points.join(" "));
  });
  const text = tell(words, values);
  picture.setAttribute("aria-label", text);
  byId(`${id}-text`).textContent = text;
}
