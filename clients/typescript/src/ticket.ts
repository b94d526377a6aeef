/** Calls whose reply is fetched later, by whoever has the ticket. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Bus } from "./bus.js";
import { Claims, REPLY_TTL } from "./claims.js";
import { MSGPACK } from "./codec.js";
import { CallError, CallFailed } from "./errors.js";
import { commandName } from "./names.js";
import { Pauses } from "./pauses.js";
import { PROGRESS_EVERY, type Progress, decodeProgress } from "./progress.js";
import { type Reply, fault, read } from "./replies.js";

/** A submitted call: as JSON it is what tickets are in every language. */
export interface Ticket {
  service: string;
  method: string;
  queue?: string;
  call_id: string;
  idempotency_key?: string;
  recorded?: boolean;
  put_off?: boolean;
  /** It was to be started later: it is listed until then. */
  delayed?: boolean;
  /** Milliseconds since the Unix epoch after which it is not worth looking. */
  expires_at: number;
  repeated?: boolean;
}

/**
 * The state of a submitted call. `waiting`: it was not started, as far as is known. `running`: it was, in so
 * many runs, and is not done; `isAlive` if its worker gives signs of life: if not for long, another begins it
 * anew. `done`: `wait` has its reply at once.
 */
export type TicketStatus =
  | { state: "waiting" | "done" }
  | { state: "running"; attempt: number; isAlive: boolean; progress: Progress | undefined };

/** The longest pause between two looks at a job that says nothing new. */
const LOOK_AGAIN_MAX = 2_000;

/** The state of the call now. */
export async function status(bus: Bus, ticket: Ticket): Promise<TicketStatus> {
  if (ticket.recorded && ticket.queue) {
    const name = commandName(ticket.queue, ticket.method, ticket.idempotency_key, ticket.call_id);
    const known = await new Claims(bus.scripts, bus.names, bus.link.log).record(name);
    if (known !== undefined && "frame" in known) return { state: "done" };
    if (known !== undefined) {
      const progress = known.progress && decodeProgress(known.progress);
      return { state: "running", attempt: known.attempt, isAlive: known.leaseLeft > 0, progress };
    }
  }
  const isThere = await bus.redis.exists(bus.names.response(ticket.call_id));
  return { state: isThere ? "done" : "waiting" };
}

/** What a job says of how far it is, from now on until it is done. */
export async function* progress(bus: Bus, ticket: Ticket): AsyncGenerator<Progress, void> {
  let newest: string | undefined;
  let wasStarted = false;
  let pause = PROGRESS_EVERY;
  while (Date.now() < ticket.expires_at) {
    const now = await status(bus, ticket).catch((error: Error) => {
      bus.link.log(`looking at a job again: ${error.message}`);
      return undefined;
    });
    // One that was started and waits is forgotten.
    if (now?.state === "done" || (now?.state === "waiting" && wasStarted)) return;
    if (now?.state === "running") {
      wasStarted = true;
      const said = now.progress && JSON.stringify(now.progress);
      if (now.progress !== undefined && said !== newest) {
        [newest, pause] = [said, PROGRESS_EVERY];
        yield now.progress;
        continue;
      }
    }
    await sleep(pause);
    pause = Math.min(pause * 2, LOOK_AGAIN_MAX);
  }
}

/**
 * What came of a cancel. `never_started`: it was not started, and never will be. `running`: it is told.
 * `done`: it is, and here is how. `told`: whoever has it is, and nobody says whether that was in time.
 */
export type CancelOutcome =
  | { state: "never_started" | "running" | "told" }
  | { state: "done"; value: unknown }
  | { state: "done"; error: CallError };

/** Milliseconds for which the record of a cancelled command is kept: with a key and without one. */
const KEYED = 24 * 60 * 60_000;
const UNKEYED = 30 * 60_000;

/** The reply to a ticket, if it is there by now. */
export async function poll(bus: Bus, ticket: Ticket): Promise<Reply | undefined> {
  let frame: Buffer | null;
  try {
    frame = await bus.redis.getBuffer(bus.names.response(ticket.call_id));
  } catch (error) {
    throw new CallFailed("disconnected", `Redis can't be asked: ${String(error)}`, true);
  }
  return frame === null ? undefined : read(frame, ticket.repeated);
}

/** The value that is the reply to a ticket, once it is there. */
export async function wait(bus: Bus, ticket: Ticket, timeout: number): Promise<unknown> {
  const until = Math.min(Date.now() + timeout, ticket.expires_at);
  const pauses = new Pauses(5, 500);
  while (true) {
    const reply = await poll(bus, ticket).catch((error: unknown) => {
      if (error instanceof CallFailed && error.code === "disconnected") return undefined;
      throw error;
    });
    if (reply !== undefined) return reply.body;
    if (Date.now() >= until) throw new CallFailed("timed_out", "no reply in time", true);
    await pauses.wait();
  }
}

/** Cancels a submitted call: a command that is recorded for sure, any other as well as may be. */
export async function cancel(bus: Bus, ticket: Ticket): Promise<CancelOutcome> {
  if (!ticket.queue) throw new TypeError("a ticket without a queue can't cancel");
  const left = Math.max(1, ticket.expires_at - Date.now());
  if (!ticket.recorded) {
    bus.cancels.tell(ticket.queue, ticket.call_id, left);
    return { state: "told" };
  }
  const text = "it was cancelled before it was started";
  const unstarted = new CallFailed("cancelled", text, ticket.put_off ?? false);
  const begun = new CallFailed("interrupted", "it was cancelled, and its worker died", true);
  const name = commandName(ticket.queue, ticket.method, ticket.idempotency_key, ticket.call_id);
  const kept = Math.max(ticket.idempotency_key === undefined ? UNKEYED : KEYED, left);
  const args = [fault(MSGPACK, unstarted), fault(MSGPACK, begun), Math.floor(kept)];
  const answer = (await bus.scripts.run("cancel", [bus.names.claim(name)], args)) as Buffer[];
  bus.cancels.tell(ticket.queue, ticket.call_id, left);
  const [state, frame] = answer;
  if (state?.toString() === "unstarted") {
    // Whoever waits need not until the message is there.
    await bus.redis.set(bus.names.response(ticket.call_id), fault(MSGPACK, unstarted), "PX", REPLY_TTL, "NX");
    if (ticket.delayed) bus.delays.forget(ticket.queue, ticket.call_id);
    return { state: "never_started" };
  }
  if (frame === undefined) return { state: "running" };
  try {
    return { state: "done", value: read(frame).body };
  } catch (error) {
    if (error instanceof CallError) return { state: "done", error };
    throw error;
  }
}
