/** Runs of handlers: a query in its time, a command under a claim and to its end. */

import { ATTEMPTS_MAX, type Claim, commandClaim } from "./claims.js";
import { decode } from "./codec.js";
import { type Context, within } from "./context.js";
import { type Envelope, contextOf, isLate } from "./envelope.js";
import { CallFailed, HandlerError } from "./errors.js";
import { commandName } from "./names.js";
import { type Outcome, faulty, recorded } from "./outcome.js";
import { handlerError, isMap, value } from "./replies.js";
import type { Handler, Served } from "./service.js";
import type { Serving } from "./serving.js";

/** Milliseconds that a call may take that says nothing of its time. */
export const LONGEST = 20 * 60_000;

/** The arguments of a request; throws `bad_request` if they can't be read. */
export function argumentsOf(read: Envelope): Record<string, unknown> {
  let args: unknown;
  try {
    args = decode(read.contentType, read.message.body);
  } catch (error) {
    throw new CallFailed("bad_request", `the arguments can't be read: ${String(error)}`, false);
  }
  if (!isMap(args)) throw new CallFailed("bad_request", "the arguments are no map", false);
  return args;
}

/** When its caller stops waiting, or it has taken as long as any call may. */
export function timeOf(read: Envelope): number {
  return read.deadline ?? Date.now() + LONGEST;
}

/** What a handler comes to. */
async function answered(
  serving: Serving,
  handler: Handler,
  read: Envelope,
  context: Context,
  args: Record<string, unknown>,
): Promise<Outcome> {
  const began = performance.now();
  const us = () => (read.inbox === undefined ? undefined : Math.ceil((performance.now() - began) * 1000));
  try {
    const answer = await within(context, () => handler(args));
    return written(read, () => value(read.contentType, answer, us()));
  } catch (error) {
    if (error instanceof HandlerError) {
      return { error, ...written(read, () => handlerError(read.contentType, error.error, us())) };
    }
    serving.bus.link.log(`${read.message.type}: the handler failed: ${String((error as Error).stack)}`);
    return faulty(read, new CallFailed("panicked", "the handler panicked", true));
  }
}

function written(read: Envelope, write: () => Buffer): Outcome {
  try {
    return { frame: write() };
  } catch (error) {
    const text = `the answer can't be sent: ${(error as Error).message}`;
    return faulty(read, new CallFailed("bad_reply", text, true));
  }
}

/** Runs a query until it is done, its caller stops waiting, or it is cancelled: its answer counts no more. */
export async function query(serving: Serving, served: Served, read: Envelope, attempt: number): Promise<Outcome> {
  const args = argumentsOf(read);
  const cancel = new AbortController();
  const context = contextOf(read, attempt, cancel.signal);
  let timer: NodeJS.Timeout | undefined;
  let leave = () => {};
  const ended = new Promise<Outcome>((resolve) => {
    const end = (code: string, text: string) => {
      cancel.abort();
      resolve(faulty(read, new CallFailed(code, text, true)));
    };
    const late = () => end("timed_out", "the handler did not finish in the time given");
    timer = setTimeout(late, Math.min(timeOf(read) - Date.now(), 0x7fff_ffff));
    leave = serving.held.enter(read.callId, () => end("cancelled", "it was cancelled while it ran"));
  });
  try {
    const run = answered(serving, served.handler as Handler, read, context, args);
    return await Promise.race([run, ended]);
  } finally {
    clearTimeout(timer);
    leave();
  }
}

/** A run of a command: it goes on to its end, whatever becomes of the delivery. */
export class CommandRun {
  readonly claim: Claim;

  constructor(
    private readonly serving: Serving,
    private readonly served: Served,
    private readonly read: Envelope,
  ) {
    const name = commandName(serving.service.queue, served.name, read.key, read.callId);
    const { key, deadlineNamed, contentType, message } = read;
    this.claim = commandClaim(name, key, deadlineNamed, contentType, message.body);
  }

  /** What the command comes to, by this run or by an earlier one. */
  async outcome(): Promise<Outcome> {
    const { serving, read } = this;
    let args: Record<string, unknown>;
    try {
      args = argumentsOf(read);
    } catch (error) {
      return faulty(read, error as CallFailed, { unknown: true });
    }
    const asked = await serving.claims.take(this.claim, timeOf(read), () => serving.isStopping);
    if ("refused" in asked) return faulty(read, asked.refused, asked);
    if ("frame" in asked) return recorded(asked.frame);
    const { attempt } = asked;
    const refusal = this.refusal(attempt);
    if (refusal !== undefined) {
      await serving.claims.release(this.claim);
      return faulty(read, refusal, { attempts: attempt - 1 });
    }
    return this.run(args, attempt);
  }

  /** Why it is not started although the claim was given. */
  private refusal(attempt: number): CallFailed | undefined {
    if (this.serving.held.isCancelled(this.read.callId)) {
      return new CallFailed("cancelled", "it was cancelled before it was started", attempt > 1);
    }
    if (attempt > ATTEMPTS_MAX) {
      const text = `it was started ${ATTEMPTS_MAX} times, and never ended`;
      return new CallFailed("interrupted", text, true);
    }
    if (!isLate(this.read)) return undefined;
    if (attempt === 1) {
      return new CallFailed("expired", "its time had passed before it was started", false);
    }
    const text = "it was started before and never ended, and its time has passed";
    return new CallFailed("worker_lost", text, true);
  }

  private async run(args: Record<string, unknown>, attempt: number): Promise<Outcome> {
    const { serving, read, claim } = this;
    const cancel = new AbortController();
    const over = new AbortController();
    const context = contextOf(read, attempt, cancel.signal);
    const keeping = serving.claims.keep(claim, over.signal, () => cancel.abort());
    const leave = serving.held.enter(read.callId, () => cancel.abort());
    try {
      const outcome = await answered(serving, this.served.handler as Handler, read, context, args);
      if (outcome.error instanceof CallFailed && outcome.error.code === "panicked") {
        // What it leaves is no outcome: the next run is told that there was one.
        await serving.claims.lapse(claim);
        return { ...outcome, attempts: attempt };
      }
      return { ...outcome, claim, attempts: attempt };
    } finally {
      leave();
      over.abort();
      await keeping;
    }
  }
}
