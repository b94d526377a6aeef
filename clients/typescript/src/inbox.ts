/** The stream in Redis that the replies to one process come to. */

import { setTimeout as sleep } from "node:timers/promises";
import { type Redis } from "ioredis";
import type { Log } from "./link.js";
import { type Names, newId } from "./names.js";
import { Pauses } from "./pauses.js";
import { group } from "./replies.js";

/** As long as a call may wait: the replies to one that is cut off are there when it is back. */
const TTL = 20 * 60_000;
/** How many entries an inbox has. */
export const INBOX_ENTRIES = 65_536;
const BLOCK = 2_000;
const READ_AT_ONCE = 128;
/** Milliseconds between two times that its end is put off. */
const KEPT_EVERY = 5_000;

export type Waiter = (frame: Uint8Array) => void;

/** One process's inbox, and who waits for what comes to it. */
export class Inbox {
  readonly name: string;
  private last = "0-0";
  private readonly waiters = new Map<string, Waiter>();
  private readonly closing = new AbortController();
  private tasks: Promise<void>[] = [];

  constructor(
    private readonly redis: Redis,
    /** A connection of its own, that waits for what comes. */
    private readonly reader: Redis,
    private readonly names: Names,
    private readonly log: Log,
  ) {
    this.name = names.inbox(newId());
  }

  /** Makes the stream, and reads it from now on. */
  async open(): Promise<void> {
    await this.make();
    this.tasks = [this.read(), this.keep()];
  }

  /** Whether what comes to it can be read now. */
  get isRead(): boolean {
    return this.reader.status === "ready";
  }

  /** Stops reading, and deletes the stream. */
  async close(): Promise<void> {
    this.closing.abort();
    this.reader.disconnect();
    await Promise.all(this.tasks);
    await this.redis.del(this.name).catch(() => undefined);
  }

  /** Hands frames for this id to `waiter`, until the function that it returns is called. */
  waiting(callId: string, waiter: Waiter): () => void {
    this.waiters.set(callId, waiter);
    return () => this.waiters.delete(callId);
  }

  /** The reply that lies under the call's own key, where it goes without an inbox. */
  async stored(callId: string): Promise<Uint8Array | undefined> {
    const frame = await this.redis.getBuffer(this.names.response(callId)).catch(() => null);
    return frame ?? undefined;
  }

  private async make(): Promise<void> {
    const made = this.redis.multi().xadd(this.name, "*", "mark", "1").pexpire(this.name, TTL);
    await made.exec();
  }

  private async keep(): Promise<void> {
    const { signal } = this.closing;
    while (!signal.aborted) {
      await sleep(KEPT_EVERY, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      await this.keepOnce().catch((error: Error) => {
        this.log(`the inbox was not kept up: ${error.message}`);
      });
    }
  }

  private async keepOnce(): Promise<void> {
    if ((await this.redis.pexpire(this.name, TTL)) === 0) {
      this.last = "0-0";
      await this.make();
      // What came while there was none lies under the calls' own keys.
      for (const [callId, waiter] of [...this.waiters]) {
        const frame = await this.stored(callId);
        if (frame !== undefined) waiter(frame);
      }
      return;
    }
    const about = (await this.redis.call("XINFO", "STREAM", this.name)) as unknown[];
    const newest = String(about[about.indexOf("last-generated-id") + 1]);
    // Another server took over, which has not got all of it.
    if (isBefore(newest, this.last)) this.last = "0-0";
    await this.redis.call("XTRIM", this.name, "MINID", this.last);
  }

  private async read(): Promise<void> {
    const pauses = new Pauses(50, 2_000);
    while (!this.closing.signal.aborted) {
      try {
        const read = (await this.reader.callBuffer(
          "XREAD", "COUNT", READ_AT_ONCE, "BLOCK", BLOCK, "STREAMS", this.name, this.last,
        )) as [Buffer, [Buffer, Buffer[]][]][] | null;
        pauses.reset();
        for (const [entry, fields] of read?.[0]?.[1] ?? []) {
          this.last = entry.toString();
          this.take(fields);
        }
      } catch (error) {
        if (this.closing.signal.aborted) return;
        this.log(`the inbox can't be read: ${(error as Error).message}`);
        await pauses.wait(this.closing.signal);
      }
    }
  }

  private take(fields: Buffer[]): void {
    const value = (name: string) => {
      const at = fields.findIndex((field, place) => place % 2 === 0 && field.toString() === name);
      return at < 0 ? undefined : fields[at + 1];
    };
    const [together, id, frame] = [value("group"), value("id"), value("frame")];
    if (together !== undefined) {
      for (const [callId, one] of group(together)) this.waiters.get(callId)?.(one);
    } else if (id !== undefined && frame !== undefined) {
      this.waiters.get(id.toString())?.(frame);
    }
  }
}

/** Adds a frame of a stream to an inbox, if that is there: what is lost is asked for again. */
export async function append(redis: Redis, inbox: string, name: string, frame: Buffer): Promise<void> {
  const entry = ["MAXLEN", "~", INBOX_ENTRIES, "*", "id", name, "frame", frame];
  await redis.call("XADD", [inbox, "NOMKSTREAM", ...entry]).catch(() => undefined);
}

function isBefore(entry: string, other: string): boolean {
  const [millis, number] = entry.split("-").map(Number);
  const [otherMillis, otherNumber] = other.split("-").map(Number);
  if (millis !== otherMillis) return (millis ?? 0) < (otherMillis ?? 0);
  return (number ?? 0) < (otherNumber ?? 0);
}
