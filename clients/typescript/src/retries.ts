/**
 * The runs of a command that its handler puts off: counted, with their errors, and told whether there is
 * a next one.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { asText } from "./context.js";
import { CLOCK_ALLOWANCE, type Envelope } from "./envelope.js";
import { CallFailed, type RetryLater, shown } from "./errors.js";
import { type Message, propertiesOf } from "./message.js";
import type { Serving } from "./serving.js";

/** Further runs at most, whatever a policy says, and the longest pause. */
const RETRIES_MAX = 20;
const PAUSE_MAX = 24 * 60 * 60_000;
/** The longest pause for which a worker holds the delivery. */
export const HELD_MAX = 1_000;
const ERROR_BYTES_MAX = 256;
/** For how long a message is put aside again that the broker does not take. */
const ASIDE_WITHIN = 60_000;
const ASIDE_AGAIN_AFTER = 1_000;
const COUNT = "x-replybus-retries";
const ERROR = "x-replybus-retry-error-";

/**
 * How often, and after which pauses, a command is run again whose handler throws `RetryLater`. Each pause
 * is twice the one before, up to the longest.
 */
export interface Retry {
  /** Runs after the first: 1 to 20; 5 unless set. */
  max?: number;
  /** Milliseconds of the pause after the first run, up to a day; 200 unless set. */
  base?: number;
  /** Milliseconds of the longest pause, up to a day; a minute unless set. */
  maxDelay?: number;
  /** Each pause is a random part of what it would be: what failed together does not come back so. */
  jitter?: boolean;
}

/** A policy whose numbers are there and within their bounds. */
export type Policy = Required<Retry>;

export function policyOf(retry: Retry): Policy {
  const policy = { max: 5, base: 200, maxDelay: 60_000, jitter: false, ...retry };
  if (!(Number.isInteger(policy.max) && policy.max >= 1 && policy.max <= RETRIES_MAX)) {
    throw new RangeError(`retry: ${policy.max} further runs; 1 to ${RETRIES_MAX} are allowed`);
  }
  for (const pause of [policy.base, policy.maxDelay]) {
    if (!(pause >= 1 && pause <= PAUSE_MAX)) {
      throw new RangeError(`retry: a pause of ${pause} ms; 1 ms to a day are allowed`);
    }
  }
  return policy;
}

/** Milliseconds of the pause after so many runs that failed. */
export function pauseAfter(policy: Policy, failed: number): number {
  const pause = Math.min(policy.base * 2 ** Math.min(Math.max(0, failed - 1), 31), policy.maxDelay);
  return policy.jitter ? pause * Math.random() : pause;
}

/** The runs of one command, those of its message before this delivery included. */
export class Retries {
  /** Runs of earlier deliveries; one that says them illegibly had more than are allowed. */
  readonly before: number;
  runs: number;
  /** When the next run is due for which it is put aside: milliseconds since the Unix epoch. */
  due: number | undefined;
  /** It would be run again, and was as often as is allowed. */
  isExhausted = false;
  private readonly errors: [number, string][] = [];
  private readonly longest: number;

  constructor(
    message: Message,
    private readonly policy: Policy,
    /** When a further run is of no use. */
    readonly until: number | undefined,
  ) {
    this.before = this.runs = runsBefore(message);
    // What waited elsewhere would come behind later calls of its key.
    this.longest = message.partition === undefined ? PAUSE_MAX : HELD_MAX;
    for (let run = 1; run <= Math.min(this.before, RETRIES_MAX + 1); run++) {
      const error = asText(message.headers[`${ERROR}${run}`]);
      if (error !== undefined) this.errors.push([run, shortened(error)]);
    }
  }

  /** Notes a run that failed. Returns the pause before the next one, if that is held. */
  failed(error: RetryLater): number | undefined {
    this.runs += 1;
    if (this.runs <= RETRIES_MAX + 1) this.errors.push([this.runs, textOf(error)]);
    if (this.runs > this.policy.max) {
      this.isExhausted = true;
      return undefined;
    }
    const pause = Math.min(error.after ?? pauseAfter(this.policy, this.runs), this.longest);
    const isHeld = pause <= HELD_MAX;
    const waits = isHeld ? pause : Math.ceil(pause / 1000) * 1000;
    // Late is as good as never: the caller is told now.
    if (this.until !== undefined && Date.now() + waits >= this.until) return undefined;
    if (isHeld) return pause;
    this.due = Date.now() + pause;
    return undefined;
  }

  /** Writes down how often it was run, and of what each run failed. */
  noteIn(headers: Record<string, unknown>): void {
    for (const name of Object.keys(headers)) {
      if (name.startsWith(COUNT) || name.startsWith(ERROR)) delete headers[name];
    }
    headers[COUNT] = String(this.runs);
    for (const [run, error] of this.errors) headers[`${ERROR}${run}`] = error;
  }
}

/** When a run is of no use any more. */
export function noRunAfter(read: Envelope): number | undefined {
  const known = [read.deadline, read.startBy].filter((moment) => moment !== undefined);
  if (known.length === 0) return undefined;
  return Math.min(...known) - (read.message.expiration === undefined ? CLOCK_ALLOWANCE : 0);
}

/**
 * Publishes a message once more, to wait on the broker for its next run. False if the broker does not
 * take it; while it is away that is tried again, for as long as a run can be of use.
 */
export async function putAside(serving: Serving, read: Envelope, retries: Retries): Promise<boolean> {
  const due = retries.due ?? Date.now();
  const headers = onceMore(read);
  retries.noteIn(headers);
  headers["repeated"] = true;
  const properties = propertiesOf(read.message, headers);
  const until = Math.min(Date.now() + ASIDE_WITHIN, retries.until ?? Number.POSITIVE_INFINITY);
  const to = { exchange: "", key: serving.queue };
  const { delays } = serving.bus;
  while (true) {
    try {
      await delays.publish(to, read.message.body, properties, due, Math.max(1, until - Date.now()));
      break;
    } catch (error) {
      // A second copy is recognised by its claim.
      const isAway = error instanceof CallFailed && ["disconnected", "overloaded", "timed_out"].includes(error.code);
      if (!isAway || Date.now() + ASIDE_AGAIN_AFTER >= until) return false;
      await sleep(ASIDE_AGAIN_AFTER);
    }
  }
  const note = { id: read.callId, kind: "retry", name: read.message.type, keyed: read.key !== undefined };
  delays.note(serving.service.queue, note, due);
  return true;
}

/**
 * The headers of a message that is published again, to wait: what its expiration said is in them, and
 * nothing is that the broker would act on.
 */
export function onceMore(read: Envelope): Record<string, unknown> {
  const headers = unrouted(read.message.headers);
  if (!("deadline" in headers) && read.startBy !== undefined) {
    headers["deadline"] = String(read.startBy);
    // Nobody waits until then.
    if (read.deadline === undefined) headers["x-replybus-due"] = String(Date.now());
  }
  return headers;
}

/** Headers without those by which the broker would send the message elsewhere as well. */
export function unrouted(headers: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name !== "CC" && name !== "BCC"));
}

function runsBefore(message: Message): number {
  if (!(COUNT in message.headers)) return 0;
  const text = asText(message.headers[COUNT]) ?? "";
  return /^\d{1,9}$/.test(text) ? Number(text) : RETRIES_MAX + 1;
}

/** An error for people: a text as it is, all else in JSON. */
function textOf(error: RetryLater): string {
  return shortened(typeof error.error === "string" ? error.error : shown(error.error));
}

function shortened(text: string): string {
  const plain = Buffer.from(text.replace(/[\u0000-\u001f\u007f-\u009f]/g, ""));
  let end = Math.min(plain.length, ERROR_BYTES_MAX);
  // No character is cut in two.
  while (end < plain.length && ((plain[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return plain.subarray(0, end).toString();
}
