/** The calls that a worker holds, and those that were cancelled before it had them. */

import { CLOCK_ALLOWANCE } from "./envelope.js";

const REMEMBERED_MAX = 20_000;

export class Held {
  private readonly running = new Map<string, () => void>();
  private readonly cancelled = new Map<string, number>();

  /** Has `cancel` called if the call is cancelled, until the function that it returns is called. */
  enter(callId: string, cancel: () => void): () => void {
    this.running.set(callId, cancel);
    return () => {
      if (this.running.get(callId) === cancel) this.running.delete(callId);
    };
  }

  /**
   * Cancels a call with `left` ms to its deadline: it is told if it runs, and otherwise not started for as
   * long as it could be.
   */
  cancel(callId: string, left: number): void {
    this.running.get(callId)?.();
    for (const first of this.cancelled.keys()) {
      if (this.cancelled.size < REMEMBERED_MAX) break;
      this.cancelled.delete(first);
    }
    this.cancelled.set(callId, Date.now() + left + CLOCK_ALLOWANCE);
  }

  /** Whether a call is not to be started. */
  isCancelled(callId: string): boolean {
    const until = this.cancelled.get(callId);
    if (until === undefined) return false;
    if (until > Date.now()) return true;
    this.cancelled.delete(callId);
    return false;
  }
}
