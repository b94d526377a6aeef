/** A call whose answer is a stream, and the reader of it. */

import type { Bus } from "./bus.js";
import { Waiting, publish } from "./call.js";
import { decode } from "./codec.js";
import { CallFailed, HandlerError } from "./errors.js";
import { type PromiseWithResolvers, deferred, inTime } from "./link.js";
import type { CallOptions, Method } from "./method.js";
import { isMap, read } from "./replies.js";
import { type Request, prepare } from "./request.js";
import { type Frame, FRAMES_MAX, ITEM_HEAD, Kind, WINDOW, WINDOW_MAX, itemsIn, writeCredit } from "./stream_frames.js";

/** Milliseconds: a reader says something so often, asks again after so much silence, and gives up after. */
const CREDIT_EVERY = 5_000;
const ASK_AFTER = 6_000;
const SILENCE_MAX = 20_000;
const ASK_EVERY = 1_000;
const FRAMES_TAKEN = 32;

/** What may be said of a call of a stream. */
export interface StreamOptions extends CallOptions {
  /** Bytes that the producer may be ahead of who reads. */
  window?: number;
}

/**
 * A call of a stream, read with `for await`. It is opened with the first item that is asked for; its
 * timeout is that of the opening. Left early, it ends the handler's stream.
 */
export class StreamCall<T> implements AsyncIterable<T> {
  constructor(
    private readonly bus: Bus,
    private readonly method: Method,
    private readonly args: Record<string, unknown>,
    private readonly options: StreamOptions = {},
  ) {}

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    const request = prepare(this.method, this.args, this.options, this.bus.trace, true);
    const window = Math.min(Math.max(1, Math.floor(this.options.window ?? WINDOW)), WINDOW_MAX);
    request.headers["x-replybus-stream"] = String(window);
    const reader = new Reader(this.bus, request, window, this.options.signal);
    try {
      await reader.open();
      yield* reader.items() as AsyncGenerator<T, void, undefined>;
    } finally {
      await reader.close();
    }
  }
}

class Reader {
  private readonly waiting: Waiting;
  private readonly frames: Frame[] = [];
  private arrived: PromiseWithResolvers<void> = deferred();
  private queue = "";
  private producer = 0;
  /** Items that were read, and that were taken by whoever reads. */
  private expected = 0;
  private taken = 0;
  private bytesTaken = 0;
  private framesTaken = 0;
  private isOver = false;
  private heardAt = Date.now();
  private toldAt = Date.now();
  private askedAt = 0;

  constructor(
    private readonly bus: Bus,
    private readonly request: Request,
    private readonly window: number,
    signal?: AbortSignal,
  ) {
    this.waiting = new Waiting(bus, request, signal, (frame) => {
      // What the producer may be ahead is bounded; what is beyond was not asked for.
      if (this.frames.length < 4 * FRAMES_MAX) this.frames.push(frame);
      this.arrived.resolve();
    });
    signal?.addEventListener("abort", () => this.arrived.resolve(), { once: true });
    this.signal = signal;
  }

  private readonly signal: AbortSignal | undefined;

  async open(): Promise<void> {
    await publish(this.bus, this.request);
    const opened = await this.waiting.reply();
    const { queue, producer } = isMap(opened) ? opened : {};
    if (typeof queue !== "string" || typeof producer !== "number") {
      throw new CallFailed("bad_reply", "it opens no stream", true);
    }
    if (!queue.startsWith(`${this.bus.names.control}.`)) {
      throw new CallFailed("bad_reply", "it names no control queue of this bus", true);
    }
    this.queue = queue;
    this.producer = producer;
    this.heardAt = this.toldAt = Date.now();
  }

  async *items(): AsyncGenerator<unknown, void, undefined> {
    while (true) {
      const frame = await this.next();
      if (frame.kind !== Kind.items) {
        this.isOver = true;
        await this.tell(false, true);
        this.raise(frame);
        return;
      }
      const items = this.itemsIn(frame);
      this.framesTaken += 1;
      for (const item of items) {
        this.taken += 1;
        this.bytesTaken += ITEM_HEAD + item.length;
        await this.tellIfDue();
        yield this.decoded(item);
      }
    }
  }

  /** The next frame in order that has something in it. */
  private async next(): Promise<Frame> {
    while (true) {
      for (let frame = this.frames.shift(); frame; frame = this.frames.shift()) {
        if (frame.producer !== this.producer) continue;
        this.heardAt = Date.now();
        // What is behind a gap is sent again with it.
        if (frame.number > this.expected) await this.askAgain();
        else if (frame.number === this.expected) {
          if (frame.kind !== Kind.items || frame.rest.length > 0) return frame;
        }
      }
      if (this.signal?.aborted) throw new CallFailed("cancelled", "its caller gave it up", true);
      this.arrived = deferred();
      await inTime(this.arrived.promise, 1_000).catch(() => undefined);
      await this.tellIfDue();
      const silent = Date.now() - this.heardAt;
      if (silent > SILENCE_MAX) {
        throw new CallFailed("interrupted", `nothing was heard of it for ${SILENCE_MAX / 1000} s`, true);
      }
      if (silent > ASK_AFTER) await this.askAgain();
    }
  }

  private itemsIn(frame: Frame): Buffer[] {
    try {
      const items = itemsIn(frame);
      this.expected += items.length;
      return items;
    } catch (error) {
      throw new CallFailed("bad_reply", String(error), true);
    }
  }

  private decoded(data: Buffer): unknown {
    try {
      return decode(this.request.contentType, data);
    } catch (error) {
      throw new CallFailed("bad_reply", `an item can't be read: ${String(error)}`, true);
    }
  }

  private raise(end: Frame): void {
    if (end.kind === Kind.handlerError) throw new HandlerError(this.decoded(end.rest));
    if (end.kind === Kind.fault) read(end.rest);
  }

  private async tellIfDue(): Promise<void> {
    const isHalf = this.bytesTaken * 2 >= this.window;
    const isLate = Date.now() - this.toldAt > CREDIT_EVERY;
    if (isHalf || this.framesTaken >= FRAMES_TAKEN || isLate) await this.tell(false, false);
  }

  private async askAgain(): Promise<void> {
    if (Date.now() - this.askedAt < ASK_EVERY) return;
    this.askedAt = Date.now();
    await this.tell(true, false);
  }

  private async tell(again: boolean, gone: boolean): Promise<void> {
    this.toldAt = Date.now();
    this.bytesTaken = this.framesTaken = 0;
    const taken = again ? this.expected : this.taken;
    const { callId } = this.request;
    const credit = writeCredit({ callId, producer: this.producer, taken, again, gone });
    // By a name of its own: a credit that is returned is not another.
    const about = { type: "stream", messageId: `${callId}/${this.producer}/${taken}/${Date.now()}` };
    try {
      await this.bus.link.publish(this.queue, credit, about, CREDIT_EVERY);
    } catch (error) {
      const isGone = error instanceof CallFailed && error.code === "unroutable";
      if (isGone && !gone) throw new CallFailed("interrupted", "its service is gone", true);
    }
  }

  async close(): Promise<void> {
    if (this.queue && !this.isOver) {
      this.isOver = true;
      await this.tell(false, true);
    }
    this.waiting.end();
  }
}
