// The session: one for all tabs, until it ends at the bank or the user logs out in one of them.

const PLACE = "session";

let session = recall();

function recall() {
  try {
    const kept = JSON.parse(localStorage.getItem(PLACE));
    return kept?.token && kept?.username ? kept : null;
  } catch {
    // No storage, or nothing of ours in it.
    return null;
  }
}

/** `{token, username}`, or null. Another login is another object. */
export function current() {
  return session;
}

export function begin(token, username) {
  session = { token, username };
  try {
    localStorage.setItem(PLACE, JSON.stringify(session));
  } catch {
    // Without storage it ends with a reload.
  }
}

export function end() {
  session = null;
  try {
    localStorage.removeItem(PLACE);
  } catch {
    // Then it was not kept either.
  }
}

/** Calls `changed` when another tab began a session or ended this one. */
export function onSessionOfAnotherTab(changed) {
  window.addEventListener("storage", (event) => {
    if (event.key !== PLACE && event.key !== null) return;
    const kept = recall();
    if (kept?.token === session?.token) return;
    session = kept;
    changed();
  });
}
