/** Messages that are being worked on, each until it is settled. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Channel, ConsumeMessage } from "amqplib";
import { acknowledge } from "./control.js";
import { stackOf } from "./errors.js";
import type { Log } from "./link.js";

/** Milliseconds that handlers have to end, and before a message comes again that could not be handled. */
export const DRAIN_WITHIN = 30_000;
export const AGAIN_AFTER = 1_000;

export class Running {
  private readonly all = new Set<Promise<void>>();

  constructor(private readonly log: Log) {}

  get count(): number {
    return this.all.size;
  }

  /** Works on a message; it is acknowledged if `work` says so, and else given back. */
  add(channel: Channel, delivered: ConsumeMessage, work: () => Promise<boolean>): void {
    const running = this.settled(channel, delivered, work).finally(() => this.all.delete(running));
    this.all.add(running);
  }

  private async settled(
    channel: Channel,
    delivered: ConsumeMessage,
    work: () => Promise<boolean>,
  ): Promise<void> {
    let isDone = false;
    try {
      isDone = await work();
    } catch (error) {
      this.log(`a message is given back: ${stackOf(error)}`);
      // Not at once: it would come again as soon.
      await sleep(AGAIN_AFTER);
    }
    if (isDone) acknowledge(channel, delivered);
    else {
      try {
        channel.nack(delivered, false, true);
      } catch {
        // The channel is closed, and it is given back by that.
      }
    }
  }

  /** Waits until all are settled, and what is beside them is done, for so long as handlers have. */
  async drain(within = DRAIN_WITHIN, beside: Promise<void> = Promise.resolve()): Promise<void> {
    const late = new AbortController();
    const timer = sleep(within, undefined, { signal: late.signal }).catch(() => undefined);
    await Promise.race([Promise.allSettled([...this.all, beside]), timer]);
    late.abort();
  }
}
