// Questions to the bank, with the administrator's secret. It is kept here and nowhere else.

import { tell } from "./language.js";

/** A little longer than the bank takes at most, so that its own words about it arrive. */
const PATIENCE_MS = 15_000;

let secret = null;

/** Why there is no answer. */
export class Failure extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }

  /** The secret is not right, or not any more. */
  get isRefusal() {
    return this.status === 401 || this.status === 403;
  }
}

/** Tries a secret, and keeps it if it is right. */
export async function open(tried) {
  const before = secret;
  secret = tried;
  try {
    await ask("GET", "/circuit-breakers");
  } catch (failure) {
    secret = before;
    if (failure.isRefusal) failure.message = tell("door.wrong");
    throw failure;
  }
}

/** Forgets it. */
export function forget() {
  secret = null;
}

/** Asks for JSON. Throws a Failure. */
export async function ask(method, path, body) {
  const answer = await send(method, path, body, AbortSignal.timeout(PATIENCE_MS));
  try {
    return await answer.json();
  } catch {
    throw new Failure(tell("failure.unreachable"));
  }
}

/** Asks, and returns the answer as it begins. Throws a Failure. */
export async function send(method, path, body, signal) {
  // What can't stand in a header is no secret of the bank's.
  if (!/^[\x21-\x7e]+$/.test(secret ?? "")) throw new Failure(tell("door.wrong"), 403);
  const headers = { "X-Admin-Secret": secret };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const sent = body === undefined ? undefined : JSON.stringify(body);
  const request = { method, headers, body: sent, cache: "no-store", credentials: "omit", signal };
  let answer;
  try {
    answer = await fetch(path, request);
  } catch {
    throw new Failure(tell("failure.unreachable"));
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  const detail = typeof told.detail === "string" ? told.detail : tell("failure.status", { status: answer.status });
  throw new Failure(detail, answer.status);
}
