/** Pauses between attempts that grow, and differ from those of other processes; in milliseconds. */

import { setTimeout as sleep } from "node:timers/promises";

export class Pauses {
  private pause: number;

  constructor(
    private readonly first: number,
    private readonly longest: number,
  ) {
    this.pause = first;
  }

  /** The next pause: between half of it and all of it. */
  next(): number {
    const pause = this.pause;
    this.pause = Math.min(pause * 2, this.longest);
    return pause * (0.5 + Math.random() / 2);
  }

  /** Waits for the next pause, or until `signal` fires. */
  async wait(signal?: AbortSignal): Promise<void> {
    await sleep(this.next(), undefined, signal ? { signal } : {}).catch(() => undefined);
  }

  /** Begins anew with the first. */
  reset(): void {
    this.pause = this.first;
  }
}
