/** A call, and the three things that can be done with it. */

import type { Options } from "amqplib";
import type { Bus } from "./bus.js";
import { type Later, dueOf } from "./delays.js";
import { CallFailed } from "./errors.js";
import { type Feed, FeedCall } from "./feeding.js";
import { type PromiseWithResolvers, deferred, givenUp, inTime } from "./link.js";
import type { CallOptions, Method } from "./method.js";
import { Pauses } from "./pauses.js";
import { read } from "./replies.js";
import { type Request, prepare } from "./request.js";
import { type FeedCredit, type Frame, WINDOW, isFrame, readFeedCredit, readFrame } from "./stream_frames.js";
import type { Ticket } from "./ticket.js";

/** Milliseconds that a call may run, and that the reply to a submitted one is kept. */
const LONGEST = 20 * 60_000;
const REPLY_KEPT = 10 * 60_000;

/** A call that was not made yet: awaited it is made, and its reply waited for. */
export class Call<T> implements PromiseLike<T> {
  constructor(
    private readonly bus: Bus,
    private readonly method: Method,
    private readonly args: Record<string, unknown>,
    private readonly options: CallOptions = {},
  ) {}

  /** Makes the call. It fails with a `HandlerError`, or with a `CallFailed`. */
  // biome-ignore lint/suspicious/noThenProperty: it is awaited.
  then<A = T, B = never>(
    done?: ((value: T) => A | PromiseLike<A>) | null,
    failed?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.reply().then(done, failed);
  }

  /** Makes the call, and waits for its reply. */
  async reply(): Promise<T> {
    const request = this.prepare();
    const waiting = new Waiting(this.bus, request, this.options.signal);
    try {
      await publish(this.bus, request, this.options.signal);
      return (await waiting.reply()) as T;
    } finally {
      waiting.end();
    }
  }

  /**
   * Makes the call, and returns a ticket to fetch its reply with, here or elsewhere. With `after` or
   * `at` it reaches its service then, and not earlier: the broker keeps it, and this process may end.
   * Its timeout, within which it must be started, counts from then.
   */
  async submit(later: Later = {}): Promise<Ticket> {
    const request = this.later(later);
    await this.put(request, request.submitted(this.bus.app));
    const { service, name, queue, isCommand, isRecorded, isPutOff } = this.method;
    return {
      service: service ?? "",
      method: name,
      queue,
      call_id: request.callId,
      ...(request.key === undefined ? {} : { idempotency_key: request.key }),
      recorded: isCommand && (isRecorded ?? true),
      put_off: isPutOff ?? false,
      expires_at: expiresAt(request),
      ...(request.due === undefined ? {} : { delayed: true }),
    };
  }

  /** Makes the call one-way: nobody is told what comes of it. Returns its id. As `submit`, also later. */
  async send(later: Later = {}): Promise<string> {
    const request = this.later(later);
    await this.put(request, request.oneWay(this.bus.app));
    return request.callId;
  }

  /**
   * The same call, of a method one of whose arguments is a stream: of these items, of which `window` bytes
   * are sent ahead of its handler.
   */
  feed(items: Feed, window = WINDOW): FeedCall<T> {
    return new FeedCall(this.bus, this, items, window);
  }

  /** The call as a request, with an id of its own. */
  prepare(isAwaited = true): Request {
    return prepare(this.method, this.args, this.options, this.bus.trace, isAwaited);
  }

  /** What fires when it is given up. */
  get signal(): AbortSignal | undefined {
    return this.options.signal;
  }

  private later(later: Later): Request {
    const request = this.prepare(false);
    try {
      request.due = dueOf(later);
    } catch (error) {
      throw new CallFailed("bad_request", (error as Error).message, false);
    }
    return request;
  }

  private async put(request: Request, properties: Options.Publish): Promise<void> {
    const within = Math.min(request.timeout, this.method.timeout);
    const queue = this.bus.names.full(request.queue);
    const { signal } = this.options;
    if (request.due === undefined) {
      await this.bus.link.publish(queue, request.body, properties, within, "", true, signal);
      return;
    }
    if (signal?.aborted) throw givenUp(false);
    const { delays } = this.bus;
    await delays.publish({ exchange: "", key: queue }, request.body, properties, request.due, within);
    const { service, name, isCommand, isRecorded, isPutOff } = this.method;
    const recorded = isCommand && (isRecorded ?? true);
    const ticket = { expires_at: expiresAt(request), recorded, put_off: isPutOff ?? false };
    const note = { id: request.callId, kind: "call", service, name, keyed: request.key !== undefined, ticket };
    delays.note(this.method.queue, note, request.due);
  }
}

/** When it is not worth looking for the reply to a submitted call any more. */
function expiresAt(request: Request): number {
  const startBy = request.due === undefined ? request.until : request.due + request.timeout;
  return startBy + (request.method.job ?? LONGEST) + REPLY_KEPT;
}

/** Waits for the reply to one request, from before it is published. */
export class Waiting {
  private readonly frame: PromiseWithResolvers<Uint8Array> = deferred();
  private readonly leave: () => void;
  private readonly giveUp = () => this.fail(givenUp(true));

  constructor(
    private readonly bus: Bus,
    readonly request: Request,
    readonly signal?: AbortSignal,
    onFrame?: (frame: Frame) => void,
    onCredit?: (credit: FeedCredit) => void,
  ) {
    this.frame.promise.catch(() => undefined);
    this.leave = bus.inbox.waiting(request.callId, (frame) => {
      if (!isFrame(frame)) this.frame.resolve(frame);
      else {
        const one = onFrame && readFrame(frame);
        if (one !== undefined) onFrame?.(one);
        const credit = onCredit && readFeedCredit(frame);
        if (credit !== undefined) onCredit?.(credit);
      }
    });
    if (signal?.aborted) this.giveUp();
    signal?.addEventListener("abort", this.giveUp);
  }

  /** Waits for no more. */
  end(): void {
    this.leave();
    this.signal?.removeEventListener("abort", this.giveUp);
  }

  /** Ends it with this, unless there is a reply. */
  fail(failed: CallFailed): void {
    this.frame.reject(failed);
  }

  /** Waits until there is a reply, whatever it is. */
  async answered(): Promise<void> {
    await this.frame.promise.catch(() => undefined);
  }

  /** The value in the reply; throws the error in it, or that there was none in time. */
  async reply(): Promise<unknown> {
    const { request, bus } = this;
    let frame: Uint8Array | undefined;
    try {
      frame = await inTime(this.frame.promise, request.until - Date.now());
    } catch (error) {
      const isLate = error instanceof CallFailed && error.code === "timed_out";
      if (isLate) frame = await bus.inbox.stored(request.callId);
      if (frame === undefined) {
        bus.cancels.tell(request.method.queue, request.callId, request.left());
        throw isLate ? new CallFailed("timed_out", "no reply in time", true) : error;
      }
    }
    const reply = read(frame, request.isRepeated);
    bus.bundles.heard(request.queue, reply.takesBundles);
    return reply.body;
  }
}

/**
 * Publishes an awaited request. If nobody says whether the broker has it, and it may be run again, it is
 * published again, marked as repeated. Otherwise that is as good: the reply will tell. So it will of one that
 * is given up, unless the broker surely has it not.
 */
export async function publish(bus: Bus, request: Request, signal?: AbortSignal): Promise<void> {
  const queue = bus.names.full(request.queue);
  const pauses = new Pauses(50, 1_000);
  while (true) {
    try {
      const properties = request.awaited(bus.inbox.name, bus.app);
      await bus.link.publish(queue, request.body, properties, request.left(), "", true, signal);
      return;
    } catch (error) {
      if (!(error instanceof CallFailed)) throw error;
      error.mayHaveExecuted ||= request.isRepeated;
      if (error.code === "cancelled" && error.mayHaveExecuted) return;
      if (error.code !== "disconnected" || !error.mayHaveExecuted) throw error;
      if (!request.mayBeRepeated()) return;
    }
    request.isRepeated = true;
    await pauses.wait(signal);
  }
}
