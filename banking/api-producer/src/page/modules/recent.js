// Whom the user paid of late, to be paid again by a press.

import { byId, element } from "./elements.js";
import { ask } from "./http.js";

const SHOWN_MAX = 4;
/** Transfers among which they are looked for. */
const LOOKED_AT = 50;

/** `choose` is called with a name. */
export function recent(choose) {
  const place = byId("recent");

  async function refresh() {
    try {
      const query = { page: 1, size: LOOKED_AT };
      const { items } = await ask("GET", "/api/transfer/transactions", { query });
      const paid = items.filter(({ direction, status }) => direction === "sent" && status !== "rejected");
      show([...new Set(paid.map(({ to }) => to))].slice(0, SHOWN_MAX));
    } catch {
      // It is a convenience: the lists say what is wrong.
    }
  }

  function show(names) {
    byId("recent-group").hidden = names.length === 0;
    // A button that has the focus stays.
    if (names.join() === [...place.children].map((button) => button.textContent).join()) return;
    place.replaceChildren(
      ...names.map((name) =>
        element("button", { type: "button", class: "chip", onclick: () => choose(name) }, name),
      ),
    );
  }

  return { enter: () => show([]), refresh };
}
