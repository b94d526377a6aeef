/** The caller's end of a stream of arguments: a call that sends one, produced for whoever reads it. */

import type { Bus } from "./bus.js";
import { type Call, Waiting, publish } from "./call.js";
import { CallFailed, reasonOf } from "./errors.js";
import { append } from "./inbox.js";
import { type PromiseWithResolvers, deferred } from "./link.js";
import { Producer } from "./producer.js";
import { fault } from "./replies.js";
import type { Request } from "./request.js";
import { Silence } from "./silence.js";
import { type FeedCredit, Kind, WINDOW_MAX, writeFrame } from "./stream_frames.js";

/** The others that are told to wait: there are as many as a call has further copies. */
const OTHERS_MAX = 8;
const OVER = "its caller has left, or has its answer";
const NOTHING = Buffer.alloc(0);

/** What a stream may be made of. */
export type Feed = AsyncIterable<unknown> | Iterable<unknown>;

/**
 * A call one of whose arguments is a stream: awaited it is made, the stream sent as fast as the handler
 * reads it, and its reply waited for. Its timeout is that of all of it. A stream is sent once: if its
 * worker dies in the middle, the call fails as `interrupted`.
 */
export class FeedCall<T> implements PromiseLike<T> {
  constructor(
    private readonly bus: Bus,
    private readonly call: Call<T>,
    private readonly items: Feed,
    private readonly window: number,
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
    const request = this.call.prepare();
    const window = Math.min(Math.max(1, Math.floor(this.window)), WINDOW_MAX);
    request.headers["x-replybus-stream"] = String(window);
    const feeding = new Feeding(this.bus, request, this.items, window);
    const heard = (credit: FeedCredit) => feeding.heard(credit);
    const waiting = new Waiting(this.bus, request, this.call.signal, undefined, heard);
    try {
      await publish(this.bus, request, this.call.signal);
      // What is wrong here says more than what a handler makes of it.
      return (await Promise.race([feeding.failed, waiting.reply()])) as T;
    } catch (error) {
      // Whichever run says so: a handler was called, or may have been.
      if (error instanceof CallFailed) error.mayHaveExecuted ||= feeding.hasBegun;
      throw error;
    } finally {
      waiting.end();
      await feeding.close();
    }
  }
}

/**
 * What one call hears of those who would read its stream: one of them does, and the others, runs of
 * further copies, are told to wait.
 */
class Feeding {
  private reader: FeedCredit | undefined;
  private producer: Producer | undefined;
  private readonly others = new Map<string, FeedCredit>();
  private readonly failing: PromiseWithResolvers<never> = deferred();

  constructor(
    private readonly bus: Bus,
    private readonly request: Request,
    private readonly items: Feed,
    private readonly window: number,
  ) {
    this.failing.promise.catch(() => undefined);
  }

  /** Fails when the stream, and so the call, can come to nothing. */
  get failed(): Promise<never> {
    return this.failing.promise;
  }

  /** True once a handler may have been called. */
  get hasBegun(): boolean {
    return this.reader !== undefined;
  }

  /** Takes in a credit. Who gives the first is the reader. */
  heard(said: FeedCredit): void {
    const { reader } = this;
    if (reader?.callId === said.callId && reader.producer === said.producer) {
      void this.producer?.heard(said);
    } else if (said.gone) this.others.delete(said.callId);
    // What anybody names would be written to.
    else if (!this.bus.names.isInbox(said.inbox)) return;
    else if (reader === undefined) this.begin(said);
    else {
      if (said.holdsClaim) this.fail("another worker would begin it anew: the one that ran it has lost it");
      if (!this.others.has(said.callId) && this.others.size >= OTHERS_MAX) return;
      this.others.set(said.callId, said);
      const wait = writeFrame(Kind.wait, said.producer, 0, NOTHING);
      void append(this.bus.redis, said.inbox, said.callId, wait);
    }
  }

  private fail(text: string): void {
    const { request } = this;
    this.bus.cancels.tell(request.method.queue, request.callId, request.left());
    this.failing.reject(new CallFailed("interrupted", text, this.hasBegun));
  }

  private begin(reader: FeedCredit): void {
    this.reader = reader;
    const way = { inbox: reader.inbox, name: reader.callId, number: reader.producer };
    const { redis, inbox, link } = this.bus;
    const silence = new Silence(() => !inbox.isRead);
    const { contentType } = this.request;
    const producer = new Producer(redis, way, this.window, contentType, silence, link.log, (error) => {
      const text = `its stream could not be sent: ${reasonOf(error)}`;
      this.fail(text);
      return new CallFailed("interrupted", text, true);
    });
    this.producer = producer;
    producer.start(() => ofAny(this.items), undefined, () => {
      if (producer.isSilent) this.fail("its handler was not heard for too long");
    });
  }

  /** Ends the stream, and tells those who would read it as well that it will not come. */
  async close(): Promise<void> {
    const over = new CallFailed("interrupted", OVER, true);
    await this.producer?.stop(over);
    const frame = fault(this.request.contentType, over);
    for (const other of this.others.values()) {
      const end = writeFrame(Kind.fault, other.producer, 0, frame);
      await append(this.bus.redis, other.inbox, other.callId, end);
    }
  }
}

async function* ofAny(items: Feed): AsyncGenerator<unknown, void, undefined> {
  yield* items;
}
