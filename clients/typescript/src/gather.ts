/** Many calls at once; those that may leave together do. */

import type { Bus } from "./bus.js";
import { BUNDLE, entry } from "./bundles.js";
import { Call, Waiting, publish } from "./call.js";
import { CallError, CallFailed } from "./errors.js";
import { deferred, givenUp, inTime } from "./link.js";
import { newId } from "./names.js";
import { read } from "./replies.js";
import { Request } from "./request.js";

/** Makes calls, and waits for all: values, and the errors of those that failed. */
export async function gather<T>(bus: Bus, calls: Iterable<Call<T>>): Promise<(T | CallError)[]> {
  const prepared = [...calls].map((call) => ({ signal: call.signal, request: prepare(call) }));
  const requests = prepared.map((one) => one.request).filter((one) => one instanceof Request);
  const waiting = new Map(
    prepared.flatMap(({ request, signal }) =>
      request instanceof Request ? [[request, new Waiting(bus, request, signal)] as const] : [],
    ),
  );
  const sending = new Map<Request, Promise<void>>();
  for (const part of bus.bundles.divide(requests)) {
    const sent = send(bus, part.map((one) => waiting.get(one)).filter((one) => !!one));
    sent.catch(() => undefined);
    for (const request of part) sending.set(request, sent);
  }
  const answers = prepared.map(async ({ request }) => {
    if (!(request instanceof Request)) return request;
    const one = waiting.get(request);
    const sent = sending.get(request) ?? Promise.resolve();
    const failed = new Promise<never>((_, reject) => sent.catch(reject));
    try {
      return (await Promise.race([one?.reply(), failed])) as T;
    } catch (error) {
      if (error instanceof CallError) return error;
      throw error;
    } finally {
      one?.end();
    }
  });
  return Promise.all(answers);
}

function prepare<T>(call: Call<T>): Request | CallFailed {
  if (!(call instanceof Call)) throw new TypeError("only a Call leaves with others: await any other by itself");
  if (call.signal?.aborted) return givenUp(false);
  try {
    return call.prepare();
  } catch (error) {
    if (error instanceof CallFailed) return error;
    throw error;
  }
}

async function send(bus: Bus, waiting: Waiting[]): Promise<void> {
  const requests = waiting.map((one) => one.request);
  const [first] = requests;
  if (first === undefined) return;
  if (requests.length === 1) return publish(bus, first, waiting[0]?.signal);
  const bundle = newId();
  const refused = deferred<Uint8Array>();
  const leave = bus.inbox.waiting(bundle, refused.resolve);
  try {
    if (!(await publishTogether(bus, first, requests, bundle))) {
      await sendAgain(bus, waiting, true);
      return;
    }
    const until = Math.max(...requests.map((one) => one.until));
    const answered = Promise.all(waiting.map((one) => one.answered())).then(() => undefined);
    const told = Promise.race([refused.promise, answered]);
    const frame = await inTime(told, until - Date.now()).catch(() => undefined);
    if (frame === undefined) return;
    bus.bundles.heard(first.queue, false);
    await sendAgain(bus, waiting, mayHaveExecuted(frame));
  } finally {
    leave();
  }
}

/**
 * Publishes each by itself; one that may have been executed only if it may be repeated. What becomes of one
 * says nothing of the others.
 */
async function sendAgain(bus: Bus, waiting: Waiting[], executed: boolean): Promise<void> {
  const again = waiting.filter(({ request }) => !executed || request.mayBeRepeated());
  const sent = again.map(async (one) => {
    one.request.isRepeated ||= executed;
    try {
      await publish(bus, one.request, one.signal);
    } catch (error) {
      if (!(error instanceof CallFailed)) throw error;
      one.fail(error);
    }
  });
  await Promise.all(sent);
}

/** Publishes a bundle; false if nobody says whether the broker has it. */
async function publishTogether(
  bus: Bus,
  first: Request,
  requests: Request[],
  bundle: string,
): Promise<boolean> {
  const latest = Math.max(...requests.map((one) => one.until));
  const about = {
    type: BUNDLE,
    correlationId: bundle,
    messageId: bundle,
    replyTo: bus.inbox.name,
    contentType: first.contentType,
    appId: bus.app,
    persistent: first.method.isCommand,
    expiration: String(Math.max(1, latest - Date.now())),
    headers: { deadline: String(latest) },
  };
  const body = Buffer.concat(requests.map((one) => entry(one, latest - one.until)));
  try {
    await bus.link.publish(bus.names.full(first.queue), body, about, first.left());
  } catch (error) {
    if (!(error instanceof CallFailed) || !error.mayHaveExecuted) throw error;
    return false;
  }
  return true;
}

function mayHaveExecuted(frame: Uint8Array): boolean {
  try {
    read(frame);
    return true;
  } catch (error) {
    return !(error instanceof CallFailed) || error.mayHaveExecuted;
  }
}
