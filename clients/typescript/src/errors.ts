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

function shown(error: unknown): string {
  return JSON.stringify(error, (_, value: unknown) =>
    typeof value === "bigint" ? value.toString() : value,
  );
}
