// The balance after each of the newest entries, as a line.

import { money } from "./amounts.js";
import { byId, say } from "./elements.js";
import { ask } from "./http.js";
import { tell } from "./language.js";

const ENTRIES = 100;
/** The units that the line is drawn in; the style sheet gives it its size. */
const WIDTH = 300;
const HEIGHT = 60;

export function chart() {
  const figure = byId("chart");

  async function refresh() {
    try {
      const { items } = await ask("GET", "/api/account/statement", { query: { page: 1, size: ENTRIES } });
      show(items.map(({ balance }) => balance).reverse());
    } catch {
      // It is an ornament: the statement says what is wrong.
    }
  }

  function show(balances) {
    figure.hidden = balances.length < 2;
    if (figure.hidden) return;
    const [lowest, highest] = [least(balances), most(balances)];
    const points = pointsOf(balances, lowest, highest);
    byId("chart-line").setAttribute("points", points.join(" "));
    byId("chart-area").setAttribute("points", `0,${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}`);
    const values = {
      count: balances.length,
      lowest: money.format(lowest),
      highest: money.format(highest),
      now: money.format(balances.at(-1)),
    };
    byId("chart-picture").setAttribute("aria-label", tell("balance.chart", values));
    say(byId("chart-lowest"), tell("balance.lowest", { amount: values.lowest }));
    say(byId("chart-highest"), tell("balance.highest", { amount: values.highest }));
  }

  return { enter: () => (figure.hidden = true), refresh };
}

/** A balance lasts until the next entry: the line has steps. */
function pointsOf(balances, lowest, highest) {
  const range = Number(highest) - Number(lowest) || 1;
  const heights = balances.map((balance) => {
    const share = (Number(balance) - Number(lowest)) / range;
    return (HEIGHT - 3 - share * (HEIGHT - 6)).toFixed(1);
  });
  const across = WIDTH / balances.length;
  return heights.flatMap((height, at) => {
    const [begins, ends] = [at, at + 1].map((edge) => (edge * across).toFixed(1));
    return [`${begins},${height}`, `${ends},${height}`];
  });
}

/** Balances may be BigInts, which Math does not take. */
function least(balances) {
  return balances.reduce((one, other) => (other < one ? other : one));
}

function most(balances) {
  return balances.reduce((one, other) => (other > one ? other : one));
}
