// A registration, and the key under which it can be asked for again: when its answer was lost, the
// name is the user's own, and not somebody else's.

import { ask } from "./http.js";
import { drawKey } from "./key.js";

const PLACE = "registration";

/** Registers a user. Throws a Failure; unless that is final, the next try is the same registration. */
export async function register(body) {
  const key = keyOf(body.username);
  try {
    await ask("POST", "/api/auth/register", { body, key });
  } catch (failure) {
    if (failure.isFinal) forgetRegistration();
    throw failure;
  }
}

/** The user is in: the next registration is another's. */
export function forgetRegistration() {
  try {
    sessionStorage.removeItem(PLACE);
  } catch {
    // Then it was not kept either.
  }
}

/** Written down before it is first sent: a reload does not lose it. */
function keyOf(username) {
  let kept = null;
  try {
    kept = JSON.parse(sessionStorage.getItem(PLACE));
  } catch {
    // No storage, or nothing of ours in it.
  }
  if (kept?.username === username) return kept.key;
  const key = drawKey();
  try {
    sessionStorage.setItem(PLACE, JSON.stringify({ username, key }));
  } catch {
    // Without storage each try is another.
  }
  return key;
}
