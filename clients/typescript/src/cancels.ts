/** Calls that nobody waits for any more, said to those who serve their queue. */

import type { Link } from "./link.js";
import { type Names, idBytes } from "./names.js";

const WAITING_MAX = 10_000;
const IN_ONE_MAX = 1_000;

/** The cancels of one process, by queue. They may be lost: a lost one costs work, and no more. */
export class Cancels {
  private readonly waiting = new Map<string, Buffer[]>();
  private telling: Promise<void> | undefined;

  constructor(
    private readonly link: Link,
    private readonly names: Names,
  ) {}

  /** Has a call cancelled that has `left` ms of its time; the queue is without the namespace. */
  tell(queue: string, callId: string, left: number): void {
    const waiting = this.waiting.get(queue) ?? [];
    this.waiting.set(queue, waiting);
    if (waiting.length < WAITING_MAX) {
      const millis = Buffer.alloc(4);
      millis.writeUInt32BE(Math.min(0xffff_ffff, Math.max(1, Math.floor(left))));
      waiting.push(Buffer.concat([idBytes(callId), millis]));
    }
    this.telling ??= this.tellAll().finally(() => {
      this.telling = undefined;
    });
  }

  /** Says those that wait. */
  async close(): Promise<void> {
    await this.telling;
  }

  private async tellAll(): Promise<void> {
    for (const [queue, entries] of this.waiting) {
      this.waiting.delete(queue);
      for (let at = 0; at < entries.length; at += IN_ONE_MAX) {
        const body = Buffer.concat(entries.slice(at, at + IN_ONE_MAX));
        await this.link
          .tell(this.names.control, this.names.full(queue), body, { type: "cancel" })
          .catch((error: Error) => this.link.log(`calls were not cancelled: ${error.message}`));
      }
    }
  }
}
