/** Runs of commands: each goes on to its end, under a claim unless its handler keeps the record. */

import { setTimeout as sleep } from "node:timers/promises";
import { ATTEMPTS_MAX, type Claim, LEASE, commandClaim } from "./claims.js";
import type { Context } from "./context.js";
import { type Envelope, contextOf, isLate } from "./envelope.js";
import { CallFailed, RetryLater } from "./errors.js";
import { commandName } from "./names.js";
import { type Outcome, faulty, recorded } from "./outcome.js";
import { type Progress, Reports } from "./progress.js";
import { Retries, noRunAfter } from "./retries.js";
import { answered, argumentsOf, namesOf, timeOf } from "./runs.js";
import { type Served, isClaimed } from "./service.js";
import type { Serving } from "./serving.js";

/**
 * Milliseconds for which the claim of a job is asked for while another has it: until it lapses, if its worker
 * has died. If not, the message comes again.
 */
const JOB_ASKED_FOR = 2 * LEASE;

/** A method that is a command. */
export type ServedCommand = Served & { kind: "command" };

/** A run of a command: it goes on to its end, whatever becomes of the delivery. */
export class CommandRun {
  /** Undefined of one whose handler keeps the record. */
  readonly claim: Claim | undefined;
  /** Its runs, if it may be put off. */
  readonly retries: Retries | undefined;
  /** Of a job: the broker has its message once more, which says in the end what became of it. */
  isHandedBack = false;
  /** Fulfilled when it has its claim, and its handler is called. */
  readonly started: Promise<void>;
  private starts: () => void = () => undefined;
  private readonly cancel = new AbortController();
  private reports: Reports | undefined;

  constructor(
    private readonly serving: Serving,
    private readonly served: ServedCommand,
    private readonly read: Envelope,
    /** Which delivery of it this is, as far as that is counted. */
    private readonly delivery: number,
  ) {
    const { key, callId, deadlineNamed, contentType, message } = read;
    if (isClaimed(served)) {
      const name = commandName(serving.service.queue, served.name, key, callId);
      this.claim = commandClaim(name, key, deadlineNamed, contentType, message.body);
    }
    this.started = new Promise((resolve) => {
      this.starts = resolve;
    });
    if (served.retry !== undefined) this.retries = new Retries(message, served.retry, noRunAfter(read));
  }

  /** It takes long. */
  get isJob(): boolean {
    return this.served.job !== undefined;
  }

  /** Tells its handler that it is to end. */
  tell(): void {
    this.cancel.abort();
  }

  /** What is told of it while it runs. */
  told(): object {
    return { id: this.read.callId, method: this.served.name, progress: this.reports?.newest ?? null };
  }

  /** What the command comes to, by this run or by an earlier one. */
  async outcome(): Promise<Outcome> {
    const outcome = await this.cameTo();
    // What is recorded is another run's word.
    return this.retries === undefined ? outcome : { hasRun: this.retries.before > 0, ...outcome };
  }

  private async cameTo(): Promise<Outcome> {
    const { serving, read, claim } = this;
    let args: Record<string, unknown>;
    try {
      args = argumentsOf(read);
    } catch (error) {
      return faulty(read, error as CallFailed, { unknown: true });
    }
    if (claim === undefined) return this.unclaimed(args);
    const asked = await serving.claims.take(claim, timeOf(read), () => serving.isStopping, this.isJob ? JOB_ASKED_FOR : undefined);
    if ("refused" in asked) return faulty(read, asked.refused, asked);
    if ("frame" in asked) return { hasRun: false, ...recorded(asked.frame) };
    const { attempt } = asked;
    // Redis is back, if it was away: what was given up meanwhile is not begun.
    await serving.control.beSurelySeen();
    const refusal = this.refusal(attempt);
    if (refusal !== undefined) {
      await serving.claims.release(claim);
      return faulty(read, refusal, { attempts: attempt - 1 });
    }
    this.starts();
    return this.claimed(claim, args, attempt);
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

  /** A run of one whose handler keeps the record: what tells it from others is the handler's. */
  private async unclaimed(args: Record<string, unknown>): Promise<Outcome> {
    const leave = this.serving.held.enter(this.read.callId, () => this.tell());
    try {
      return { ...(await this.runs(args, this.delivery)), unknown: true };
    } finally {
      leave();
    }
  }

  private async claimed(claim: Claim, args: Record<string, unknown>, attempt: number): Promise<Outcome> {
    const { serving, served, read } = this;
    const over = new AbortController();
    const keeping = [serving.claims.keep(claim, over.signal, () => this.tell())];
    if (served.job !== undefined) keeping.push(...this.asJob(claim, attempt, served.job, over.signal));
    const leave = serving.held.enter(read.callId, () => this.tell());
    try {
      const outcome = await this.runs(args, attempt);
      const { error } = outcome;
      const came = { ...outcome, attempts: attempt };
      if (this.isJob) {
        // Also a panic is its outcome: its message comes again, and must find what became of it.
        if (!(error instanceof RetryLater && serving.isLeaving)) return { ...came, claim };
        await serving.claims.lapse(claim);
        return { ...came, isLeft: true };
      }
      if (error instanceof CallFailed && error.code === "panicked") {
        // What it leaves is no outcome: the next run is told that there was one.
        await serving.claims.lapse(claim);
      } else if (error instanceof RetryLater || (error instanceof CallFailed && !error.mayHaveExecuted)) {
        // Nor does this, which is to be done again, or was not done.
        await serving.claims.release(claim);
      } else return { ...came, claim };
      return came;
    } finally {
      leave();
      over.abort();
      serving.jobs.ended(this);
      await Promise.all(keeping);
    }
  }

  /** Has it say how far it is, and be told when its time is over. */
  private asJob(claim: Claim, attempt: number, time: number, over: AbortSignal): Promise<void>[] {
    const { serving } = this;
    this.reports = new Reports();
    serving.jobs.begun(this, attempt);
    const told = sleep(time, undefined, { signal: over }).then(
      () => this.tell(),
      () => undefined,
    );
    return [told, this.reports.write(serving.claims, claim, over, serving.bus.link.log)];
  }

  /** Runs the handler, again while it puts the command off and the pause is short. */
  private async runs(args: Record<string, unknown>, begun: number): Promise<Outcome> {
    const { serving, served, read, retries, reports } = this;
    const cancelled = this.cancel.signal;
    const names = namesOf(serving, served);
    const report = reports && ((progress: Progress) => reports.report(progress));
    for (let attempt = Math.max(begun, (retries?.before ?? 0) + 1); ; attempt++) {
      const context: Context = contextOf(read, attempt, cancelled, names, report);
      const outcome = await answered(serving, served, read, context, args);
      if (retries === undefined || !(outcome.error instanceof RetryLater)) return outcome;
      const pause = retries.failed(outcome.error);
      if (pause === undefined) return { ...outcome, isExhausted: retries.isExhausted };
      await sleep(pause, undefined, { signal: cancelled }).catch(() => undefined);
      // Nobody wants it any more, or another worker has it.
      if (cancelled.aborted) return outcome;
    }
  }
}
