// Steps into something, from which the browser's Back and Escape lead out again, and not off the
// page: the look at a transfer before it is sent, the details of an entry.

/** What to do when the user steps out of each, the innermost last. */
const steps = [];
/** The browser's history has one entry for them all; when they have ended, it is there for the next. */
let isInHistory = Boolean(history.state?.step);

window.addEventListener("popstate", (event) => {
  // By Forward it is come to again, when what it was for has ended.
  isInHistory = Boolean(event.state?.step);
  if (isInHistory) return;
  steps.pop()?.();
  if (steps.length > 0) enterHistory();
});
document.addEventListener("keydown", (event) => {
  // A dialog hears of it itself.
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) stepOut();
});

/** Steps in; `left` is called when the user steps out again. Returns what ends the step without. */
export function stepIn(left) {
  enterHistory();
  steps.push(left);
  return () => {
    const at = steps.indexOf(left);
    if (at >= 0) steps.splice(at, 1);
  };
}

/** Steps out of the innermost, as by Back. */
export function stepOut() {
  steps.pop()?.();
}

function enterHistory() {
  if (!isInHistory) history.pushState({ step: true }, "");
  isInHistory = true;
}
