/** How far a job is: as its handler says it, on its way into the record, and out of it. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Claim, Claims } from "./claims.js";
import { MSGPACK, decode, encode } from "./codec.js";
import type { Log } from "./link.js";
import { isMap } from "./replies.js";

/** Milliseconds between two notes of how far a job is, and between two looks at them. */
export const PROGRESS_EVERY = 250;
const NOTE_BYTES_MAX = 256;

/** How far a job is, as its handler said last. */
export interface Progress {
  /** What is done, in units of the handler's choice. */
  done: number;
  /** What there is to do, if that is known. */
  total: number | null;
  /** Words for people, up to 256 bytes. */
  note: string;
}

const isCount = (count: unknown): count is number => Number.isInteger(count) && (count as number) >= 0;

/** What is said, made fit; of a note that is too long the end is cut off. */
export function progressOf(done: number, total?: number | null, note = ""): Progress {
  for (const count of [done, total ?? 0]) {
    if (!isCount(count) || !Number.isSafeInteger(count)) throw new RangeError(`progress counts in integers that are not negative: ${count}`);
  }
  return { done, total: total ?? null, note: cut(note) };
}

/** The form in which it is kept. */
export function encodeProgress(progress: Progress): Buffer {
  return encode(MSGPACK, progress);
}

/** Reads that form; undefined of what is none: anybody can have written it. */
export function decodeProgress(noted: Buffer): Progress | undefined {
  try {
    const said = decode(MSGPACK, noted);
    if (!isMap(said)) return undefined;
    const { done, total = null, note = "" } = said;
    const counts = [done, total ?? 0].map((count) => (typeof count === "bigint" ? Number(count) : count));
    const [read, all] = counts;
    if (!isCount(read) || !isCount(all) || typeof note !== "string") return undefined;
    return { done: read, total: total === null ? null : all, note: cut(note) };
  } catch {
    return undefined;
  }
}

function cut(note: string): string {
  const bytes = Buffer.from(note);
  let end = Math.min(bytes.length, NOTE_BYTES_MAX);
  // No character is cut in two.
  while (end < bytes.length && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.subarray(0, end).toString();
}

/** What the handler of one run reports. Only the newest counts. */
export class Reports {
  newest: Progress | undefined;
  private isNew = false;
  private wake: () => void = () => {};

  report(progress: Progress): void {
    this.newest = progress;
    this.isNew = true;
    this.wake();
  }

  /** Writes them into the record until `stop` fires, the newest each time. */
  async write(claims: Claims, claim: Claim, stop: AbortSignal, log: Log): Promise<void> {
    stop.addEventListener("abort", () => this.wake(), { once: true });
    while (!stop.aborted) {
      if (!this.isNew || this.newest === undefined) {
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
        continue;
      }
      this.isNew = false;
      try {
        await claims.note(claim, encodeProgress(this.newest));
      } catch (error) {
        log(`progress is noted later: ${(error as Error).message}`);
        this.isNew = true;
      }
      await sleep(PROGRESS_EVERY, undefined, { signal: stop }).catch(() => undefined);
    }
  }
}
