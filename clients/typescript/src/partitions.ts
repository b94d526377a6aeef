/**
 * The partitions of a service: each is consumed for as long as it is served, and handed over when another
 * instance is to have it. The broker says who has a partition: it sends its messages to the consumer that
 * has been there for longest. All instances consume all partitions, so that whoever dies is followed at
 * once. Redis only says who is to have it: whoever has one that another should have begins nothing more of
 * it, ends what runs, and consumes it anew, behind all others.
 */

import type { Channel, ConsumeMessage } from "amqplib";
import { type PromiseWithResolvers, deferred, inTime } from "./link.js";
import type { Members } from "./members.js";
import { messageOf } from "./message.js";
import { Line } from "./partition_line.js";
import { Pauses } from "./pauses.js";
import type { Serving } from "./serving.js";

/** Messages that are held of each partition. */
const PREFETCH = 32;
/** Milliseconds between two hand-overs: the longest if the other does not take the partition. */
const HAND_OVER_EVERY = 5_000;
const HAND_OVER_MAX = 60_000;
const AGAIN_MIN = 50;
const AGAIN_MAX = 2_000;
const STEADY_AFTER = 5_000;
const LOOK_EVERY = 1_000;
const DRAIN_WITHIN = 30_000;

/**
 * Why a consumer has ended. `given_back`: a delivery has to come again before those behind it. `lost`: its
 * channel is gone, and the broker has all that was not settled.
 */
type End = "stopped" | "handed_over" | "given_back" | "lost";

/** One partition of a service that is served here. */
export class Partition {
  private line: Line | undefined;
  private changed: PromiseWithResolvers<void> = deferred();
  private isActive = false;
  /** Who was to have it when it was last consumed anew: no longer behind this instance. */
  private behind: string | undefined;
  /** When it may be handed over again, and the pause before that. */
  private notBefore = 0;
  private pause = HAND_OVER_EVERY;

  constructor(
    private readonly serving: Serving,
    private readonly number: number,
    private readonly members: Members,
    private readonly stop: AbortSignal,
    /** Called when it is consumed. */
    private readonly ready: () => void,
    /** Comes when `stop` fires. */
    private readonly stopped: Promise<undefined>,
  ) {}

  /** Deliveries of it that are worked on. */
  get running(): number {
    return this.line?.running ?? 0;
  }

  /** Has it looked at what may have changed. */
  notify(): void {
    const before = this.changed;
    this.changed = deferred();
    before.resolve();
  }

  /** Has the partition until the service stops. */
  async run(): Promise<void> {
    const pauses = new Pauses(AGAIN_MIN, AGAIN_MAX);
    while (!this.stop.aborted) {
      const since = Date.now();
      const end = await this.have().catch((error: Error): End => {
        this.serving.bus.link.log(`consuming ${this.queue} again: ${error.message}`);
        return "lost";
      });
      if (end === "stopped" || this.stop.aborted) return;
      if (Date.now() - since > STEADY_AFTER) pauses.reset();
      const preferred = this.members.preferred(this.number);
      if (end === "handed_over") {
        // Whoever was to have it before and did not take it can't.
        const isSame = this.behind === preferred;
        this.pause = isSame ? Math.min(this.pause * 2, HAND_OVER_MAX) : HAND_OVER_EVERY;
        this.notBefore = Date.now() + this.pause;
      } else await pauses.wait(this.stop);
      this.behind = preferred;
    }
  }

  private get queue(): string {
    return `${this.serving.queue}.${this.number}`;
  }

  /** Consumes it, until that ends or is to end, and nothing of it runs any more. */
  private async have(): Promise<End> {
    const connection = await Promise.race([this.serving.bus.link.connection(), this.stopped]);
    if (connection === undefined) return "stopped";
    const channel = await connection.createChannel();
    let isLost = false;
    const lost = () => {
      isLost = true;
      this.notify();
    };
    channel.on("error", (error: Error) => this.serving.bus.link.log(`${this.queue}: ${error.message}`));
    channel.on("close", lost);
    const line = new Line(this.number, () => this.notify());
    this.line = line;
    this.isActive = false;
    try {
      await this.serving.declarePartition(channel, this.queue);
      await channel.prefetch(PREFETCH);
      let held: ConsumeMessage[] | undefined = [];
      await channel.consume(this.queue, (message) => {
        // The broker has taken the consumer away: its queue is gone.
        if (message === null) lost();
        else if (held !== undefined) held.push(message);
        else this.take(line, channel, message);
      });
      await this.serving.begin();
      const first = held;
      held = undefined;
      for (const message of first) this.take(line, channel, message);
      this.ready();
      return await this.untilOver(line, () => isLost);
    } finally {
      line.end();
      // Not cancelled before: what is behind one that is not settled would come first.
      await channel.close().catch(() => undefined);
    }
  }

  private async untilOver(line: Line, isLost: () => boolean): Promise<End> {
    let end: End | undefined;
    let endedAt = 0;
    while (true) {
      const { changed } = this;
      if (isLost()) return "lost";
      if (end === undefined) {
        end = this.over(line);
        endedAt = Date.now();
        if (end !== undefined) line.end();
      }
      if (end !== undefined && (line.running === 0 || Date.now() - endedAt > DRAIN_WITHIN)) return end;
      await inTime(changed.promise, LOOK_EVERY).catch(() => undefined);
    }
  }

  /** Why it is to end now. */
  private over(line: Line): End | undefined {
    if (this.stop.aborted) return "stopped";
    if (this.isForAnother() && this.notBefore <= Date.now()) return "handed_over";
    return line.isEnding ? "given_back" : undefined;
  }

  /**
   * True if another is to have it, and can't while this one is before it: one that has messages is, and
   * one that was there before may be.
   */
  private isForAnother(): boolean {
    const preferred = this.members.preferred(this.number);
    const isOther = preferred !== undefined && preferred !== this.serving.instance;
    return isOther && (this.isActive || this.behind !== preferred);
  }

  private take(line: Line, channel: Channel, delivered: ConsumeMessage): void {
    this.isActive = true;
    // Before it is begun.
    if (this.over(line) !== undefined) line.end();
    const message = { ...messageOf(delivered), partition: this.number };
    line.add(message, async () => {
      if (!(await this.serving.taken(message))) return false;
      try {
        channel.ack(delivered);
        return true;
      } catch {
        // The channel is closed: it is delivered again, and known by its claim.
        return false;
      }
    });
  }
}
