// All that is known of one entry or transfer, in a dialog.

import { byId, element } from "./elements.js";
import { tell } from "./language.js";
import { copying } from "./overview.js";
import { stepIn } from "./step.js";

/** The dialog, brought to life once. */
export function details() {
  const dialog = byId("details");
  let id = "";
  let endStep = () => {};

  copying(byId("details-copy"), () => id, "copy.id");
  byId("details-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    // Beside it: within, something else is pressed.
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => endStep());

  /** Shows `facts`, pairs of the key of a name and a text; those without a text are left out. */
  return (title, facts, itsId) => {
    id = itsId;
    byId("details-title").textContent = title;
    const shown = [...facts, ["details.id", itsId]].filter(([, text]) => text);
    byId("details-facts").replaceChildren(
      ...shown.map(([name, text]) => element("div", {}, element("dt", {}, tell(name)), element("dd", {}, text))),
    );
    byId("details-copy").hidden = !navigator.clipboard;
    dialog.showModal();
    endStep = stepIn(() => dialog.close());
  };
}
