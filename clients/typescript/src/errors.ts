/** What a call can end with instead of a value. */

const NOT_RUN = new Set([
  "unknown_method",
  "bad_request",
  "expired",
  "overloaded",
  "denied",
  "key_conflict",
  "cancelled",
]);

/** What every failed call throws: a `HandlerError` or a `CallFailed`. */
export class CallError extends Error {
  override name = "CallError";
}

/** The handler's own error: thrown by callers, and by handlers to answer with one. */
export class HandlerError<E = unknown> extends CallError {
  override name = "HandlerError";

  constructor(readonly error: E) {
    super(`the handler returned an error: ${shown(error)}`);
  }
}

/**
 * Thrown by the handler of a command for an error that passes: it is run again after a pause, as its
 * `Retry` says. Nothing was done, or nothing that a further run does twice. When no run is left, or the
 * next would be after the caller's deadline, the error is answered. It is not recorded: the same key is
 * run again. That is all that it does without a `Retry`.
 */
export class RetryLater<E = unknown> extends HandlerError<E> {
  override name = "RetryLater";

  constructor(
    error: E,
    /** Milliseconds of the pause, up to a day, instead of that of the `Retry`. */
    readonly after?: number,
  ) {
    super(error);
    if (after !== undefined && !(after >= 0)) throw new RangeError(`a pause of ${after} ms`);
  }
}

/** A call without an answer of the handler's. */
export class CallFailed extends CallError {
  override name = "CallFailed";
  /** False if the work was surely not done, so that the call may be made again. */
  mayHaveExecuted: boolean;

  constructor(
    /** A code of the protocol, or `unroutable`, `disconnected` or `timed_out` of this side. */
    readonly code: string,
    readonly reason: string,
    mayHaveExecuted?: boolean,
    /** After how many milliseconds it is worth trying again, if the service said. */
    readonly retryAfter?: number,
  ) {
    super(`${code}: ${reason}`);
    this.mayHaveExecuted = mayHaveExecuted ?? !NOT_RUN.has(code);
  }
}

/** An error for people. */
export function shown(error: unknown): string {
  const text = JSON.stringify(error, (_, value: unknown) =>
    typeof value === "bigint" ? value.toString() : value,
  ) as string | undefined;
  return text ?? "an error that has no text form";
}

/** What was thrown, for people. Anything can be thrown: also nothing, and what has no text. */
export function reasonOf(thrown: unknown): string {
  return told(thrown, (error) => error.message);
}

/** The same, with where it was thrown. */
export function stackOf(thrown: unknown): string {
  return told(thrown, (error) => error.stack ?? String(error));
}

function told(thrown: unknown, tell: (error: Error) => string): string {
  try {
    return String(thrown instanceof Error ? tell(thrown) : thrown);
  } catch {
    return "an error that has no text form";
  }
}
