/** A stream as a worker produces it: as far as its reader has room, and kept until the reader has it. */

import type { Redis } from "ioredis";
import { type ContentType, REPLY_BYTES_MAX, encode } from "./codec.js";
import { type Context, asText, within } from "./context.js";
import { type Envelope, contextOf } from "./envelope.js";
import { CallFailed, HandlerError, reasonOf, stackOf } from "./errors.js";
import { append } from "./inbox.js";
import { type Log, type PromiseWithResolvers, deferred, inTime } from "./link.js";
import type { Outcome } from "./outcome.js";
import { fault, value } from "./replies.js";
import { argumentsOf, namesOf } from "./runs.js";
import type { Served, StreamHandler } from "./service.js";
import type { Serving } from "./serving.js";
import { Silence } from "./silence.js";
import { type Credit, FRAME_HEAD, FRAMES_MAX, Kind, WINDOW_MAX, writeFrame, writeItems } from "./stream_frames.js";

/** Milliseconds: a sign of life comes so often, and a reader that is not heard for so long is gone. */
const SIGN_EVERY = 2_000;
const READER_SILENCE = 30_000;
/** Streams that one service produces at a time. */
const STREAMS_MAX = 1024;

/** Opens a stream: the reply says where its reader is heard. */
export function opened(serving: Serving, served: Served, read: Envelope, attempt: number): Outcome {
  const args = argumentsOf(read);
  const asked = asText(read.message.headers["x-replybus-stream"]) ?? "";
  if (read.inbox === undefined || !/^[1-9]\d{0,14}$/.test(asked)) {
    const text = "a stream takes an inbox, and the header x-replybus-stream: a number of bytes";
    throw new CallFailed("bad_request", text, false);
  }
  if (serving.producers.size >= STREAMS_MAX) {
    throw new CallFailed("overloaded", `${STREAMS_MAX} streams are produced already`, false);
  }
  const way = { inbox: read.inbox, name: read.callId, number: serving.nextProducer() };
  const { bus, producers } = serving;
  const { link } = bus;
  const silence = new Silence(() => !link.isUp);
  const window = Math.min(Number(asked), WINDOW_MAX);
  const producer = new Producer(bus.redis, way, window, read.contentType, silence, link.log);
  const key = `${way.name}/${way.number}`;
  producers.set(key, producer);
  const leave = serving.held.enter(read.callId, () => producer.end());
  const of = { ...contextOf(read, attempt, producer.signal, namesOf(serving, served)), deadline: undefined };
  producer.start(() => (served.handler as StreamHandler)(args), of, () => {
    leave();
    producers.delete(key);
  });
  const where = { queue: serving.controlQueue, producer: way.number };
  return { frame: value(read.contentType, where, 0) };
}

/** Where the frames of a stream go, and what tells them from those of others. */
export interface Way {
  inbox: string;
  /** The id that they are under. */
  name: string;
  number: number;
}

/** One stream. */
export class Producer {
  /** It ended because its reader was not heard for too long. */
  isSilent = false;
  private readonly gone = new AbortController();
  /** Frames that the reader has not taken, each with the number behind its last item. */
  private readonly kept: [number, Buffer][] = [];
  private bytes = 0;
  private next = 0;
  private changed: PromiseWithResolvers<void> = deferred();
  private hasEnded = false;

  constructor(
    private readonly redis: Redis,
    private readonly way: Way,
    private readonly window: number,
    private readonly contentType: ContentType,
    /** That of its reader. */
    private readonly silence: Silence,
    private readonly log: Log,
    /** What is made of items that fail; of a handler's it is an error of its own, or a panic. */
    private readonly failing?: (error: unknown) => CallFailed,
  ) {}

  /** Fires when nobody reads any more. */
  get signal(): AbortSignal {
    return this.gone.signal;
  }

  /** Begins to produce, within a context if there is one; `over` is called when it has ended. */
  start(items: () => AsyncIterable<unknown>, of: Context | undefined, over: () => void): void {
    void Promise.all([this.produce(items, of), this.watch()])
      .catch((error) => this.log(`a stream failed: ${stackOf(error)}`))
      .finally(over);
  }

  /** Ends the stream with a fault. */
  async stop(failed: CallFailed): Promise<void> {
    if (!this.hasEnded) await this.finish(Kind.fault, fault(this.contentType, failed));
    this.end();
  }

  /** Takes what its reader says. */
  async heard(credit: Credit): Promise<void> {
    if (credit.taken > this.next) return;
    this.silence.broken();
    if (credit.gone) this.end();
    for (let first = this.kept[0]; first && first[0] <= credit.taken; first = this.kept[0]) {
      this.bytes -= first[1].length - FRAME_HEAD;
      this.kept.shift();
    }
    this.notify();
    if (credit.again) for (const [, frame] of [...this.kept]) await this.add(frame);
  }

  /** Ends it: nobody reads any more. */
  end(): void {
    this.gone.abort();
    this.notify();
  }

  private notify(): void {
    const before = this.changed;
    this.changed = deferred();
    before.resolve();
  }

  /** Says that it lives, until its reader has all of it or is gone. */
  private async watch(): Promise<void> {
    let signedAt = 0;
    while (!this.gone.signal.aborted && !(this.hasEnded && this.kept.length === 0)) {
      if (Date.now() - signedAt >= SIGN_EVERY) {
        signedAt = Date.now();
        await this.add(writeItems(this.way.number, this.next, []));
      }
      await this.aChange();
      if (this.silence.look() > READER_SILENCE) {
        this.isSilent = !this.gone.signal.aborted;
        this.end();
      }
    }
  }

  private async aChange(): Promise<void> {
    await inTime(this.changed.promise, 1_000).catch(() => undefined);
  }

  private async produce(items: () => AsyncIterable<unknown>, of: Context | undefined): Promise<void> {
    const inside = <T>(run: () => T) => (of === undefined ? run() : within(of, run));
    let iterator: AsyncIterator<unknown> | undefined;
    try {
      const opened = inside(() => items()[Symbol.asyncIterator]());
      iterator = opened;
      while (true) {
        const item = await inside(() => opened.next());
        if (item.done) break;
        const data = this.encoded(item.value, "an item");
        while (this.isFull() && !this.gone.signal.aborted) await this.aChange();
        if (this.gone.signal.aborted || this.hasEnded) return;
        this.push(data);
      }
      await this.finish(Kind.end, Buffer.alloc(0));
    } catch (error) {
      await this.finish(...this.endFor(error));
    } finally {
      await iterator?.return?.(undefined)?.catch?.(() => undefined);
    }
  }

  /** The end of a stream whose items failed. */
  private endFor(error: unknown): [number, Buffer] {
    const faulty = (failed: CallFailed): [number, Buffer] => [Kind.fault, fault(this.contentType, failed)];
    if (this.failing !== undefined) return faulty(this.failing(error));
    if (error instanceof HandlerError) {
      try {
        return [Kind.handlerError, this.encoded(error.error, "its error")];
      } catch (unwritten) {
        return faulty(unwritten as CallFailed);
      }
    }
    this.log(`a stream failed: ${stackOf(error)}`);
    return faulty(error instanceof CallFailed ? error : new CallFailed("panicked", "the handler panicked", true));
  }

  private isFull(): boolean {
    return this.bytes >= this.window || this.kept.length >= FRAMES_MAX;
  }

  /** A part of the stream as bytes; throws `bad_reply` if it can't be sent. */
  private encoded(part: unknown, what: string): Buffer {
    let data: Buffer;
    try {
      data = encode(this.contentType, part);
    } catch (error) {
      throw new CallFailed("bad_reply", `${what} can't be sent: ${reasonOf(error)}`, true);
    }
    if (data.length <= REPLY_BYTES_MAX) return data;
    throw new CallFailed("bad_reply", `${what} has more than ${REPLY_BYTES_MAX} bytes`, true);
  }

  private push(item: Buffer): void {
    const frame = writeItems(this.way.number, this.next, [item]);
    this.keep(frame);
    // One connection keeps their order, and the window how many are under way.
    void this.add(frame);
  }

  private async finish(kind: number, rest: Buffer): Promise<void> {
    if (this.hasEnded) return;
    this.hasEnded = true;
    const frame = writeFrame(kind, this.way.number, this.next, rest);
    this.keep(frame);
    await this.add(frame);
  }

  private keep(frame: Buffer): void {
    this.next += 1;
    // Readers count what is behind the heads.
    this.bytes += frame.length - FRAME_HEAD;
    this.kept.push([this.next, frame]);
  }

  private add(frame: Buffer): Promise<void> {
    return append(this.redis, this.way.inbox, this.way.name, frame);
  }
}
