/** A stream as a worker produces it: as far as its reader has room, and kept until the reader has it. */

import { INBOX_ENTRIES } from "./claims.js";
import { REPLY_BYTES_MAX, encode } from "./codec.js";
import { type Context, asText, within } from "./context.js";
import { type Envelope, contextOf } from "./envelope.js";
import { CallFailed, HandlerError } from "./errors.js";
import { type PromiseWithResolvers, deferred, inTime } from "./link.js";
import type { Outcome } from "./outcome.js";
import { fault, value } from "./replies.js";
import { argumentsOf } from "./runs.js";
import type { Served, StreamHandler } from "./service.js";
import type { Serving } from "./serving.js";
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
  const producer = new Producer(serving, read, read.inbox, Math.min(Number(asked), WINDOW_MAX));
  const of = { ...contextOf(read, attempt, producer.signal), deadline: undefined };
  const items = within(of, () => (served.handler as StreamHandler)(args));
  producer.start(items, of);
  const where = { queue: serving.controlQueue, producer: producer.number };
  return { frame: value(read.contentType, where, 0) };
}

/** One stream. */
export class Producer {
  readonly number: number;
  private readonly gone = new AbortController();
  /** Frames that the reader has not taken, each with the number behind its last item. */
  private readonly kept: [number, Buffer][] = [];
  private bytes = 0;
  private next = 0;
  private heardAt = Date.now();
  private changed: PromiseWithResolvers<void> = deferred();
  private hasEnded = false;

  constructor(
    private readonly serving: Serving,
    private readonly read: Envelope,
    private readonly inbox: string,
    private readonly window: number,
  ) {
    this.number = serving.nextProducer();
  }

  /** Fires when nobody reads any more. */
  get signal(): AbortSignal {
    return this.gone.signal;
  }

  /** Begins to produce. */
  start(items: AsyncIterable<unknown>, of: Context): void {
    const key = `${this.read.callId}/${this.number}`;
    this.serving.producers.set(key, this);
    const leave = this.serving.held.enter(this.read.callId, () => this.end());
    void Promise.all([this.produce(items, of), this.watch()]).finally(() => {
      leave();
      this.serving.producers.delete(key);
    });
  }

  /** Ends the stream with the fault `interrupted`. */
  async stop(): Promise<void> {
    if (!this.hasEnded) {
      const failed = new CallFailed("interrupted", "the service stops", true);
      await this.finish(Kind.fault, fault(this.read.contentType, failed));
    }
    this.end();
  }

  /** Takes what its reader says. */
  async heard(credit: Credit): Promise<void> {
    if (credit.taken > this.next) return;
    this.heardAt = Date.now();
    if (credit.gone) this.end();
    for (let first = this.kept[0]; first && first[0] <= credit.taken; first = this.kept[0]) {
      this.bytes -= first[1].length - FRAME_HEAD;
      this.kept.shift();
    }
    this.notify();
    if (credit.again) for (const [, frame] of [...this.kept]) await this.add(frame);
  }

  private end(): void {
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
    let signedAt = Date.now();
    while (!this.gone.signal.aborted && !(this.hasEnded && this.kept.length === 0)) {
      await this.aChange();
      if (Date.now() - this.heardAt > READER_SILENCE) this.end();
      if (Date.now() - signedAt >= SIGN_EVERY) {
        signedAt = Date.now();
        await this.add(writeItems(this.number, this.next, []));
      }
    }
  }

  private async aChange(): Promise<void> {
    await inTime(this.changed.promise, 1_000).catch(() => undefined);
  }

  private async produce(items: AsyncIterable<unknown>, of: Context): Promise<void> {
    const { contentType } = this.read;
    const iterator = within(of, () => items[Symbol.asyncIterator]());
    try {
      while (true) {
        const item = await within(of, () => iterator.next());
        if (item.done) break;
        const data = this.encoded(item.value);
        while (this.isFull() && !this.gone.signal.aborted) await this.aChange();
        if (this.gone.signal.aborted || this.hasEnded) return;
        await this.push(data);
      }
      await this.finish(Kind.end, Buffer.alloc(0));
    } catch (error) {
      if (error instanceof HandlerError) {
        await this.finish(Kind.handlerError, encode(contentType, error.error));
        return;
      }
      const failed =
        error instanceof CallFailed ? error : new CallFailed("panicked", "the handler panicked", true);
      this.serving.bus.link.log(`a stream failed: ${String(error)}`);
      await this.finish(Kind.fault, fault(contentType, failed));
    } finally {
      await iterator.return?.(undefined)?.catch?.(() => undefined);
    }
  }

  private isFull(): boolean {
    return this.bytes >= this.window || this.kept.length >= FRAMES_MAX;
  }

  private encoded(item: unknown): Buffer {
    const data = encode(this.read.contentType, item);
    if (data.length <= REPLY_BYTES_MAX) return data;
    throw new CallFailed("bad_reply", `an item has more than ${REPLY_BYTES_MAX} bytes`, true);
  }

  private async push(item: Buffer): Promise<void> {
    const frame = writeItems(this.number, this.next, [item]);
    this.keep(frame);
    await this.add(frame);
  }

  private async finish(kind: number, rest: Buffer): Promise<void> {
    if (this.hasEnded) return;
    this.hasEnded = true;
    const frame = writeFrame(kind, this.number, this.next, rest);
    this.keep(frame);
    await this.add(frame);
  }

  private keep(frame: Buffer): void {
    this.next += 1;
    // Readers count what is behind the heads.
    this.bytes += frame.length - FRAME_HEAD;
    this.kept.push([this.next, frame]);
  }

  private async add(frame: Buffer): Promise<void> {
    const entry = ["MAXLEN", "~", INBOX_ENTRIES, "*", "id", this.read.callId, "frame", frame];
    // What is lost the reader asks for again.
    await this.serving.bus.redis
      .call("XADD", [this.inbox, "NOMKSTREAM", ...entry])
      .catch(() => undefined);
  }
}
