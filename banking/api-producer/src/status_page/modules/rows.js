// Rows that stay while what is in them changes: nobody loses a focus or an open part to the next word
// of the bank.

import { element } from "./elements.js";
import { tell } from "./language.js";

/** A table's head, of these columns' words. */
export function head(row, columns) {
  const cells = columns.map((column) => element("th", { scope: "col" }, tell(column)));
  row.replaceChildren(...cells);
}

/**
 * Shows a list in `place`, with one row for each, known by `key`: `make(item)` makes a row and returns
 * it with what brings it up to date, `{ row, update(item) }`.
 */
export function keyed(place, make) {
  const known = new Map();
  return (items, key) => {
    const keys = new Set(items.map(key));
    for (const [name, { row }] of known) {
      if (keys.has(name)) continue;
      row.remove();
      known.delete(name);
    }
    items.forEach((item, at) => {
      const name = key(item);
      if (!known.has(name)) known.set(name, make(item));
      const { row, update } = known.get(name);
      update(item);
      if (place.children[at] !== row) place.insertBefore(row, place.children[at] ?? null);
    });
  };
}

/** A row of a table: its first cell is its name. On a narrow screen each cell says what it is. */
export function tableRow(columns) {
  const cells = columns.map((column, at) =>
    at === 0 ? element("th", { scope: "row" }) : element("td", { "data-label": tell(column) }),
  );
  const row = element("tr", {}, ...cells);
  const fill = (values) => {
    values.forEach((value, at) => {
      const cell = cells[at];
      const [text, state] = Array.isArray(value) ? value : [value, ""];
      if (cell.textContent !== text) cell.textContent = text;
      if (cell.dataset.state !== state) cell.dataset.state = state;
    });
  };
  return { row, fill };
}
