/** Runs of handlers, and those of queries: each in its time. */

import { decode } from "./codec.js";
import { type Context, within } from "./context.js";
import { type Envelope, contextOf } from "./envelope.js";
import { CallFailed, HandlerError, reasonOf, stackOf } from "./errors.js";
import { Fed, invited } from "./feeds.js";
import { type Outcome, faulty } from "./outcome.js";
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

/** The names that a handler knows its call by. */
export function namesOf(serving: Serving, served: Served): { service: string; method: string } {
  return { service: serving.service.name, method: served.name };
}

/** What a handler comes to, which is called once the stream is there that it reads, if it does. */
export async function answered(
  serving: Serving,
  served: Served & { kind: "query" | "command" },
  read: Envelope,
  context: Context,
  args: Record<string, unknown>,
): Promise<Outcome> {
  const window = invited(served, read);
  if (window === undefined || served.fed === undefined) {
    return called(serving, served.handler, read, context, args);
  }
  const fed = new Fed(serving, served, read, window);
  try {
    await fed.open(context.cancelled, timeOf(read));
    return await called(serving, served.handler, read, context, { ...args, [served.fed]: fed.items() });
  } catch (error) {
    if (error instanceof CallFailed) return faulty(read, error);
    throw error;
  } finally {
    await fed.close();
  }
}

async function called(
  serving: Serving,
  handler: Handler,
  read: Envelope,
  context: Context,
  args: Record<string, unknown>,
): Promise<Outcome> {
  const began = performance.now();
  // By this a caller learns that bundles are taken.
  const isTold = read.inbox !== undefined && read.message.partition === undefined;
  const us = () => (!isTold ? undefined : Math.ceil((performance.now() - began) * 1000));
  try {
    const answer = await within(context, () => handler(args));
    return written(read, () => value(read.contentType, answer, us()));
  } catch (error) {
    if (error instanceof HandlerError) {
      return { error, ...written(read, () => handlerError(read.contentType, error.error, us())) };
    }
    serving.bus.link.log(`${read.message.type}: the handler failed: ${stackOf(error)}`);
    return faulty(read, new CallFailed("panicked", "the handler panicked", true));
  }
}

function written(read: Envelope, write: () => Buffer): Outcome {
  try {
    return { frame: write() };
  } catch (error) {
    const text = `the answer can't be sent: ${reasonOf(error)}`;
    return faulty(read, new CallFailed("bad_reply", text, true));
  }
}

/** Runs a query until it is done, its caller stops waiting, or it is cancelled: its answer counts no more. */
export async function query(serving: Serving, served: Served & { kind: "query" }, read: Envelope, attempt: number): Promise<Outcome> {
  const args = argumentsOf(read);
  const cancel = new AbortController();
  const context = contextOf(read, attempt, cancel.signal, namesOf(serving, served));
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
    const run = answered(serving, served, read, context, args);
    return await Promise.race([run, ended]);
  } finally {
    clearTimeout(timer);
    leave();
  }
}
