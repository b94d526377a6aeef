/**
 * The reader of a stream: takes its frames in order, and says how far it is. Whoever has the items may be
 * busy with one for long, so what keeps the stream going is a timer beside.
 */

import { type ContentType, decode } from "./codec.js";
import { CallFailed, HandlerError } from "./errors.js";
import { type PromiseWithResolvers, deferred } from "./link.js";
import { read } from "./replies.js";
import { Silence } from "./silence.js";
import { FRAMES_MAX, type Frame, ITEM_HEAD, Kind, itemsIn } from "./stream_frames.js";

/** Milliseconds: a reader says something so often, asks again after so much silence, and gives up after. */
const CREDIT_EVERY = 5_000;
const ASK_AFTER = 6_000;
const SILENCE_MAX = 20_000;
const ASK_EVERY = 1_000;
const LOOK_EVERY = 1_000;
const FRAMES_TAKEN = 32;

/** How far a reader is. */
export interface Said {
  taken: number;
  /** All from there on is to be sent again. */
  again: boolean;
  /** Nobody reads any more. */
  gone: boolean;
}

/** One stream as it is read. */
export class Reading {
  producer = 0;
  private readonly frames: Frame[] = [];
  private arrived: PromiseWithResolvers<void> = deferred();
  /** Items that were read, and that were taken by whoever reads. */
  private expected = 0;
  private taken = 0;
  private bytesTaken = 0;
  private framesTaken = 0;
  private isOver = false;
  private failed: CallFailed | undefined;
  private toldAt = Date.now();
  private askedAt = 0;
  private keeping: NodeJS.Timeout | undefined;
  private readonly silence: Silence;

  constructor(
    private readonly contentType: ContentType,
    private readonly window: number,
    /** The way to its producer; throws a `CallFailed` if that is gone for sure. */
    private readonly say: (said: Said) => Promise<void>,
    /** Whether its producer can't be heard now. */
    isDeaf: () => boolean,
    /** The code of what can't be read. */
    private readonly unreadable = "bad_reply",
  ) {
    this.silence = new Silence(isDeaf);
  }

  /** Begins to keep the stream going. */
  keep(): void {
    this.toldAt = Date.now();
    this.silence.broken();
    this.keeping = setInterval(() => void this.look(), LOOK_EVERY);
  }

  /** Ends it, if it has not ended: nobody reads any more. */
  async close(): Promise<void> {
    if (this.keeping === undefined) return;
    clearInterval(this.keeping);
    this.keeping = undefined;
    if (this.isOver) return;
    this.isOver = true;
    await this.tell(false, true);
  }

  /** Has whoever waits for a frame fail so. */
  fail(failed: CallFailed): void {
    this.failed ??= failed;
    this.arrived.resolve();
  }

  /** Takes in a frame. */
  take(frame: Frame): void {
    // What the producer may be ahead is bounded; what is beyond was not asked for.
    if (this.frames.length < 4 * FRAMES_MAX) this.frames.push(frame);
    this.arrived.resolve();
  }

  /** Waits until the producer has sent something to this reader; throws if it does not. */
  async begun(): Promise<void> {
    while (true) {
      const first = await this.first();
      if (first.producer === this.producer && first.kind !== Kind.wait) {
        if (first.kind === Kind.fault) {
          this.isOver = true;
          this.raise(first);
        }
        return;
      }
      this.heard(first);
      this.frames.shift();
    }
  }

  /** Says how far it is, now. */
  async tell(again = false, gone = false): Promise<void> {
    this.toldAt = Date.now();
    this.bytesTaken = this.framesTaken = 0;
    await this.say({ taken: again ? this.expected : this.taken, again, gone });
  }

  /** The items, each as it was sent; throws the producer's own error, or that it ended otherwise. */
  async *items(): AsyncGenerator<unknown, void, undefined> {
    while (!this.isOver) {
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
      const frame = await this.first();
      this.frames.shift();
      this.heard(frame);
      if (frame.producer !== this.producer || frame.kind === Kind.wait) continue;
      // What is behind a gap is sent again with it.
      if (frame.number > this.expected) await this.askAgain();
      else if (frame.number === this.expected) {
        if (frame.kind !== Kind.items || frame.rest.length > 0) return frame;
      }
    }
  }

  /** The frame that came first of those that were not read, which stays there. */
  private async first(): Promise<Frame> {
    while (true) {
      const [first] = this.frames;
      if (first !== undefined) return first;
      if (this.failed !== undefined) throw this.failed;
      this.arrived = deferred();
      await this.arrived.promise;
    }
  }

  private heard(frame: Frame): void {
    if (frame.producer === this.producer) this.silence.broken();
  }

  /** What is done beside whoever reads. */
  private async look(): Promise<void> {
    if (this.isOver || this.failed !== undefined) return;
    try {
      await this.tellIfDue();
      // What has arrived and is not read yet was heard.
      if (this.frames.length > 0) this.silence.broken();
      const silent = this.silence.look();
      if (silent > SILENCE_MAX) {
        throw new CallFailed("interrupted", `nothing was heard of it for ${SILENCE_MAX / 1000} s`, true);
      }
      if (silent > ASK_AFTER) await this.askAgain();
    } catch (error) {
      const unknown = new CallFailed("interrupted", String(error), true);
      this.fail(error instanceof CallFailed ? error : unknown);
    }
  }

  private itemsIn(frame: Frame): Buffer[] {
    try {
      const items = itemsIn(frame);
      this.expected += items.length;
      return items;
    } catch (error) {
      throw new CallFailed(this.unreadable, String(error), true);
    }
  }

  private decoded(data: Buffer): unknown {
    try {
      return decode(this.contentType, data);
    } catch (error) {
      throw new CallFailed(this.unreadable, `an item can't be read: ${String(error)}`, true);
    }
  }

  private raise(end: Frame): void {
    if (end.kind === Kind.handlerError) throw new HandlerError(this.decoded(end.rest));
    if (end.kind === Kind.fault) read(end.rest);
  }

  private async tellIfDue(): Promise<void> {
    const isHalf = this.bytesTaken * 2 >= this.window;
    const isLate = Date.now() - this.toldAt > CREDIT_EVERY;
    if (isHalf || this.framesTaken >= FRAMES_TAKEN || isLate) await this.tell();
  }

  private async askAgain(): Promise<void> {
    if (Date.now() - this.askedAt < ASK_EVERY) return;
    this.askedAt = Date.now();
    await this.tell(true);
  }
}
