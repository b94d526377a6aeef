/** A method of a contract, as far as its callers have to know it. */

import { crc32 } from "./crc32.js";
import type { ContentType } from "./codec.js";

/** What may be said of one call. */
export interface CallOptions {
  /** Milliseconds that the reply is waited for; of a call that nobody waits for, until when it may start. */
  timeout?: number;
  /** Of a command: it happens once for each key. 1 to 255 bytes without control characters. */
  idempotencyKey?: string;
  priority?: "low" | "normal" | "high";
  /** For the handler, and for the calls it makes. */
  metadata?: Record<string, string>;
  contentType?: ContentType;
  /** Fired, the call is cancelled: not started, or dropped if it is a query, or told. */
  signal?: AbortSignal;
}

/** A method, by name. */
export interface Method {
  queue: string;
  name: string;
  isCommand: boolean;
  /** Milliseconds. */
  timeout: number;
  /** The argument that calls are divided by, and among how many queues. */
  key?: string;
  partitions?: number;
  /** Its service: a name for people. */
  service?: string;
  /** There is a record of each call, as of all commands that keep none of their own. */
  isRecorded?: boolean;
  /** Its handler may put it off. */
  isPutOff?: boolean;
  /** Milliseconds that it may take, of a command that takes long. */
  job?: number;
}

/** The queue of a call, without the namespace, and what the message says of its partition. */
export function placeOf(method: Method, args: Record<string, unknown>): [string, string | undefined] {
  if (method.key === undefined || method.partitions === undefined) return [method.queue, undefined];
  const key = args[method.key];
  const isKey = typeof key === "string" || typeof key === "bigint" || Number.isSafeInteger(key);
  if (!isKey) {
    throw new TypeError(`argument ${method.key} is the key of a partition: a text or an integer`);
  }
  const hash = crc32(Buffer.from(String(key)));
  const place = `${method.queue}.${hash % method.partitions}`;
  return [place, `${hash}/${method.partitions}`];
}
