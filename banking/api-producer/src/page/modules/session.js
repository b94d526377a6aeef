// The session: as long as the tab lives, a reload included.

const PLACE = "session";

let session = recall();

function recall() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(PLACE));
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
    sessionStorage.setItem(PLACE, JSON.stringify(session));
  } catch {
    // Without storage it ends with a reload.
  }
}

export function end() {
  session = null;
  try {
    sessionStorage.removeItem(PLACE);
  } catch {
    // Then it was not kept either.
  }
}
