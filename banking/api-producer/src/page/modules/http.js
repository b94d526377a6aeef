// Questions to the bank, and what can go wrong with them.

import { tell, told } from "./language.js";
import { current } from "./session.js";

/** A little longer than the bank takes at most, so that its own words about it arrive. */
const PATIENCE_MS = 15_000;
/** A file is sent while it is read, and may be long. */
const FILE_PATIENCE_MS = 600_000;

/** Answers after which it is certain that nothing was done, and will be. */
const FINAL = new Set([400, 403, 404, 405, 409, 413, 422]);

/** Why there is no answer. */
export class Failure extends Error {
  constructor(message, { status = 0, detail = "", stale = false } = {}) {
    super(message);
    this.status = status;
    /** The bank's own words, for programs. */
    this.detail = detail;
    /** The session it was asked in is over: nobody waits for this. */
    this.stale = stale;
  }

  /** Whether it is certain that nothing was done. If not, it may have been, or may still be. */
  get isFinal() {
    return FINAL.has(this.status);
  }
}

let sessionEnded = () => {};

/** What to do when the bank says that the session is over. */
export function onSessionEnded(act) {
  sessionEnded = act;
}

/** Asks the bank, in the session if there is one, for JSON or `as` "text". Throws a Failure. */
export async function ask(method, path, { body, key, query, as = "json" } = {}) {
  const session = current();
  const headers = {};
  if (session) headers["X-Session"] = session.token;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  const [answer, text] = await send(query ? `${path}?${new URLSearchParams(query)}` : path, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: "no-store",
    credentials: "omit",
    signal: AbortSignal.timeout(as === "text" ? FILE_PATIENCE_MS : PATIENCE_MS),
  });
  if (session !== current()) throw new Failure("", { status: answer.status, stale: true });
  if (answer.ok && as === "text") return text;
  const content = read(text);
  if (answer.ok && content !== undefined) return content;
  if (answer.status === 401 && session) {
    sessionEnded();
    throw new Failure(tell("failure.ended"), { status: 401, stale: true });
  }
  const detail = typeof content?.detail === "string" ? content.detail : "";
  throw new Failure(sentence(detail, answer), { status: answer.ok ? 0 : answer.status, detail });
}

async function send(url, request) {
  try {
    const answer = await fetch(url, request);
    return [answer, await answer.text()];
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new Failure(tell(late ? "failure.late" : "failure.unreachable"));
  }
}

/** Reads JSON; a whole number that is not exact as a number becomes a BigInt, where there is a way. */
function read(text) {
  try {
    return JSON.parse(text, (_, value, context) => {
      const inexact = Number.isInteger(value) && !Number.isSafeInteger(value);
      return inexact && /^-?\d+$/.test(context?.source) ? BigInt(context.source) : value;
    });
  } catch {
    return undefined;
  }
}

/** The bank's own words, for people: "account_number: ..." is "Account number: ...". */
function sentence(detail, answer) {
  if (!detail) return tell("failure.status", { status: answer.status });
  const plain = told(detail).replace(/^[a-z_]+(?=: )/, (name) => name.replaceAll("_", " "));
  const begun = plain.charAt(0).toUpperCase() + plain.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
