/** What a request came to, and what is to be done with it: reply, dead letter, or neither. */

import type { Claim } from "./claims.js";
import type { Envelope } from "./envelope.js";
import { CallError, CallFailed } from "./errors.js";
import { malformed } from "./message.js";
import { fault, read } from "./replies.js";

/** A delivery that was not taken to its end: the broker delivers it again. */
export class GivenBack extends Error {}

export interface Outcome {
  frame: Buffer;
  /** What it is, if it is no value. */
  error?: CallError;
  /** The claim to record it under. */
  claim?: Claim;
  /** Another delivery answers for it. */
  elsewhere?: boolean;
  /** Nothing says whether an earlier delivery was run. */
  unknown?: boolean;
  /** It was run in an earlier delivery, and put off. */
  hasRun?: boolean;
  /** Its handler would have it run again, and no run is left. */
  isExhausted?: boolean;
  /** It is none: another worker is to begin it anew. */
  isLeft?: boolean;
  /** How often it was begun, if that is known. */
  attempts?: number;
}

/** One that is no answer of the handler's. */
export function faulty(of: Envelope, error: CallFailed, how: Partial<Outcome> = {}): Outcome {
  return { frame: fault(of.contentType, error), error, ...how };
}

/** One that was recorded by an earlier run. */
export function recorded(frame: Buffer): Outcome {
  try {
    read(frame);
    return { frame };
  } catch (error) {
    return error instanceof CallError ? { frame, error } : { frame };
  }
}

/** The same, if an earlier delivery may have been run: a fault says so then. */
export function seen(outcome: Outcome, of: Envelope): Outcome {
  const { error } = outcome;
  const mayHaveRun = outcome.hasRun || (outcome.unknown && of.seenBefore);
  if (!mayHaveRun || !(error instanceof CallFailed)) return outcome;
  const told = new CallFailed(error.code, error.reason, true, error.retryAfter);
  return { ...outcome, error: told, frame: fault(of.contentType, told) };
}

/** Whether its message is kept for somebody to look at. */
export function isDeadLetter(outcome: Outcome, of: Envelope): boolean {
  if (outcome.isExhausted || malformed(of.message) !== undefined) return true;
  const { error } = outcome;
  if (error === undefined) return false;
  const failed = error instanceof CallFailed ? error : undefined;
  const executed = failed?.mayHaveExecuted ?? false;
  const interrupted = executed && (failed?.code === "interrupted" || failed?.code === "worker_lost");
  const command = of.message.persistent || interrupted;
  const unseen = command && (!of.isAwaited || of.isRedriven);
  if (failed?.code === "expired" && !executed) return of.isRedriven;
  if (failed?.code === "cancelled") return of.isRedriven && command;
  if (!executed) return unseen;
  const repetition = (outcome.elsewhere ?? false) && !of.seenBefore;
  return unseen || (command && !repetition);
}
