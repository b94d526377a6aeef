/** The way of one delivery: read, run, replied to, kept if it failed; acknowledged after all that. */

import { BUNDLE } from "./bundles.js";
import { type Claim, knownUntil } from "./claims.js";
import { CommandRun } from "./commands.js";
import { type Envelope, isLate, readEnvelope } from "./envelope.js";
import { CallFailed } from "./errors.js";
import { invited } from "./feeds.js";
import { type Log, inTime } from "./link.js";
import { type Message, unbundled } from "./message.js";
import { GivenBack, type Outcome, faulty, isDeadLetter, seen } from "./outcome.js";
import { misplaced } from "./partition_line.js";
import { Pauses } from "./pauses.js";
import { opened } from "./producer.js";
import { counted } from "./redeliveries.js";
import { putAside } from "./retries.js";
import { LONGEST, query, timeOf } from "./runs.js";
import { type Served, isClaimed } from "./service.js";
import type { Serving } from "./serving.js";

/** Takes one message to its end; throws `GivenBack` if it was not. */
export async function takeDelivery(serving: Serving, message: Message): Promise<void> {
  if (message.type !== BUNDLE || message.partition !== undefined) return takeOne(serving, message);
  let entries: Message[];
  try {
    entries = unbundled(message);
  } catch (error) {
    const read = readEnvelope(message, serving.names);
    return conclude(serving, read, faulty(read, error as CallFailed));
  }
  if (message.redelivered) {
    // One that kills its worker takes nobody with it.
    for (const entry of entries) await takeOne(serving, entry);
    return;
  }
  const ends = await Promise.allSettled(entries.map((entry) => takeOne(serving, entry)));
  const failed = ends.find((end) => end.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

async function takeOne(serving: Serving, message: Message): Promise<void> {
  const read = readEnvelope(message, serving.names);
  let served: Served;
  try {
    served = wanted(serving, read);
  } catch (error) {
    return conclude(serving, read, faulty(read, error as CallFailed, { unknown: true }));
  }
  // What is claimed by a name is counted by that. Each delivery of one without is another.
  const isCounted = isClaimed(served) && (read.isNamed || read.key !== undefined);
  if (served.kind === "command" && served.job !== undefined && isCounted) {
    const work = (of: CommandRun) => command(serving, of, read);
    return serving.jobs.take(served, read, work, (_, outcome, of) => conclude(serving, read, outcome, of));
  }
  if (!serving.service.hasJobs) await serving.places.enter();
  else if (!(await serving.jobs.entered(read))) return;
  try {
    if (serving.isStopping) throw new GivenBack();
    if (message.redelivered && !isCounted) await runAgain(serving, served, read);
    else await run(serving, served, read, 1);
  } finally {
    serving.places.leave();
  }
}

/** The method that is called, of a request that may be run. */
function wanted(serving: Serving, read: Envelope): Served {
  if (read.fault !== undefined) throw read.fault;
  const { methods, queue, partitions } = serving.service;
  const reason = partitions === undefined ? undefined : misplaced(read.message, partitions);
  if (reason !== undefined) throw new CallFailed("bad_request", reason, false);
  const name = read.message.type ?? "";
  const served = methods.get(name);
  // Of one that may have been started the claim says so. One whose reply is looked for later may have
  // been given to another worker, if this one stood still.
  const asks = isClaimed(served) && (read.seenBefore || (read.isAwaited && read.inbox === undefined));
  if (!asks && isLate(read)) {
    throw new CallFailed("expired", "its time had passed before it was started", false);
  }
  if (!asks && serving.held.isCancelled(read.callId)) {
    throw new CallFailed("cancelled", "it was cancelled before it was started", false);
  }
  if (served === undefined) {
    const known = [...methods.keys()].join(", ");
    const text = `queue ${queue} has no method ${name.slice(0, 64)}, it has: ${known}`;
    throw new CallFailed("unknown_method", text, false);
  }
  invited(served, read);
  return served;
}

/** Counts a delivery that is not the first, before anything of it is run. */
async function runAgain(serving: Serving, served: Served, read: Envelope): Promise<void> {
  const name = read.isNamed ? read.callId : undefined;
  const of = { queue: serving.service.queue, name, message: read.message };
  const isOver = () => serving.isStopping;
  const again = (attempt: number) => run(serving, served, read, attempt);
  const end = await counted(serving.claims, of, timeOf(read), isOver, again);
  if ("refused" in end) await conclude(serving, read, faulty(read, end.refused));
}

async function run(serving: Serving, served: Served, read: Envelope, attempt: number): Promise<void> {
  if (served.kind === "command") return command(serving, new CommandRun(serving, served, read, attempt), read);
  let outcome: Outcome;
  try {
    outcome =
      served.kind === "stream"
        ? opened(serving, served, read, attempt)
        : await query(serving, served, read, attempt);
  } catch (error) {
    if (!(error instanceof CallFailed)) throw error;
    outcome = faulty(read, error, { unknown: true });
  }
  await conclude(serving, read, outcome);
}

async function command(serving: Serving, of: CommandRun, read: Envelope): Promise<void> {
  const running = of.outcome();
  if (read.deadline !== undefined) {
    const isLate = await inTime(running, read.deadline - Date.now()).then(
      () => false,
      (error) => error instanceof CallFailed,
    );
    if (isLate) {
      // Its caller is told, and it goes on to its end.
      const text = "the handler did not finish in the time given";
      await store(serving, read, faulty(read, new CallFailed("timed_out", text, true)), false);
      const outcome = await running;
      if (await isLeft(serving, read, outcome, of)) return;
      await conclude(serving, read, outcome, of, true);
      await followed(serving, read, outcome, of.claim);
      return;
    }
  }
  await cameTo(serving, read, await running, of);
}

/** Whether it is a job that another worker runs, to which it was left; throws `GivenBack` if it is for that. */
async function isLeft(serving: Serving, read: Envelope, outcome: Outcome, of: CommandRun): Promise<boolean> {
  if (outcome.isLeft) throw new GivenBack();
  if (!of.isJob || !outcome.elsewhere) return false;
  await serving.jobs.leave(read);
  return true;
}

async function cameTo(serving: Serving, read: Envelope, came: Outcome, of: CommandRun): Promise<void> {
  if (await isLeft(serving, read, came, of)) return;
  const { retries } = of;
  let outcome = came;
  if (retries?.due !== undefined) {
    if (await putAside(serving, read, retries)) return;
    outcome = { ...outcome, isExhausted: true };
  }
  if (retries !== undefined && retries.runs > 0) {
    retries.noteIn(read.message.headers);
    outcome = { ...outcome, attempts: Math.max(outcome.attempts ?? 0, retries.runs) };
  }
  await conclude(serving, read, outcome, of);
  await followed(serving, read, outcome, of.claim);
}

/** What comes after it waits for the run that goes on elsewhere. */
async function followed(serving: Serving, read: Envelope, outcome: Outcome, claim?: Claim): Promise<void> {
  if (outcome.elsewhere && claim !== undefined && read.message.partition !== undefined) {
    await serving.claims.endedElsewhere(claim, Date.now() + LONGEST);
  }
}

async function conclude(
  serving: Serving,
  read: Envelope,
  came: Outcome,
  of?: CommandRun,
  isAnswered = false,
): Promise<void> {
  const outcome = seen(came, read);
  if (outcome.claim !== undefined || !isAnswered) await store(serving, read, outcome, isAnswered);
  const { error } = outcome;
  if (error === undefined || !isDeadLetter(outcome, read)) return;
  // Its message says so when it comes again.
  if (of?.isHandedBack) return;
  const claim = of?.claim;
  const failed = error instanceof CallFailed ? error : undefined;
  await serving.deadLetters.keep(read.message, {
    code: failed?.code ?? "handler",
    text: failed?.reason ?? "the handler returned an error, and nobody waits for it",
    mayHaveExecuted: failed?.mayHaveExecuted ?? true,
    knownUntil: claim === undefined ? undefined : knownUntil(claim),
    attempts: outcome.attempts,
  });
}

/**
 * Stores the reply, and records it if it is to be; throws `GivenBack` if Redis does not take it, or if
 * another run has the claim by now, which may not know of this call.
 */
async function store(serving: Serving, read: Envelope, outcome: Outcome, isAnswered: boolean): Promise<void> {
  const { claim, frame } = outcome;
  const to = isAnswered || !read.isAwaited ? "none" : read.inbox === undefined ? "key" : "inbox";
  const { log } = serving.bus.link;
  let isStored = true;
  let isTold = true;
  if (claim !== undefined) {
    const finish = async () => {
      isTold = await serving.claims.finish(claim, frame, read.callId, read.inbox, to);
    };
    isStored = await untilDone(finish, LONGEST, log);
  } else if (to !== "none") {
    const patience = read.inbox === undefined ? LONGEST : timeOf(read) - Date.now();
    isStored = await untilDone(() => serving.reply(read, frame), patience, log);
  }
  if (!isStored || (to !== "none" && !isTold)) throw new GivenBack();
}

/** Does something until it succeeds; false if it has not for so many milliseconds. */
export async function untilDone(work: () => Promise<unknown>, patience: number, log: Log): Promise<boolean> {
  const until = Date.now() + patience;
  const pauses = new Pauses(50, 2_000);
  while (true) {
    try {
      await work();
      return true;
    } catch (error) {
      log(`a reply is stored again: ${(error as Error).message}`);
    }
    if (Date.now() > until) return false;
    await pauses.wait();
  }
}
