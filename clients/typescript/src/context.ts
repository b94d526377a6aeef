/** What a handler may know of the call that it runs for, and what its own calls inherit of it. */

import { AsyncLocalStorage } from "node:async_hooks";

const NAME = /^[a-z0-9._-]{1,64}$/;
const ENTRIES_MAX = 32;
const BYTES_MAX = 8 * 1024;
export const TRACE = ["traceparent", "tracestate", "baggage"] as const;
// The last is RabbitMQ's, of a broker that is told to add it to all messages.
const PROTOCOL = new Set<string>(["deadline", "idempotency-key", "repeated", ...TRACE, "timestamp_in_ms"]);

/** The call, or event, that a handler runs for. */
export interface Context {
  readonly callId: string;
  readonly caller: string | undefined;
  /** The names of the service and of the method; empty of an event. */
  readonly service: string;
  readonly method: string;
  /**
   * What a handler that keeps a record of its own knows this request by, in each delivery: its
   * idempotency key, or else its id, with the names of service and method before it.
   */
  readonly recordName: string;
  readonly idempotencyKey: string | undefined;
  /** Which run of it this is; 1 is the first. */
  readonly attempt: number;
  /** It was delivered before, or sent again. */
  readonly redelivered: boolean;
  /** When its caller stops waiting, in milliseconds since the Unix epoch. */
  readonly deadline: number | undefined;
  readonly priority: number;
  readonly metadata: Readonly<Record<string, string>>;
  /** The headers of its trace. */
  readonly trace: Readonly<Record<string, string>>;
  /** Fires when its caller has given it up. Of a query the answer counts no more then. */
  readonly cancelled: AbortSignal;
  /**
   * Says how far a job is: so much of so much, and words of up to 256 bytes for people. Say it as often as
   * you like: the newest is written, four times a second at most. Of all else than jobs it is not heard.
   */
  progress(done: number, total?: number | null, note?: string): void;
}

const STORAGE = new AsyncLocalStorage<Context>();

/** The context of the handler that runs, if one does. */
export function current(): Context | undefined {
  return STORAGE.getStore();
}

/** Runs something within a context. */
export function within<T>(context: Context, run: () => T): T {
  return STORAGE.run(context, run);
}

/** The metadata among the headers of a message; what does not fit is left out. */
export function metadataOf(headers: Record<string, unknown>): Record<string, string> {
  const found: [string, string][] = [];
  let size = 0;
  for (const [name, value] of Object.entries(headers).slice(0, 64)) {
    const text = asText(value);
    if (text === undefined || !isMetadata(name, text)) continue;
    size += name.length + Buffer.byteLength(text);
    if (found.length === ENTRIES_MAX || size > BYTES_MAX) break;
    found.push([name, text]);
  }
  return Object.fromEntries(found);
}

/** Whether this may be an entry of metadata. */
export function isMetadata(name: string, value: string): boolean {
  const isOurs = /^(x-|dead-letter-)/.test(name) || PROTOCOL.has(name);
  return NAME.test(name) && !isOurs && isPlain(value);
}

/** False of a text with control characters, or with what was no UTF-8. */
export function isPlain(text: string): boolean {
  return !/[\u0000-\u001f\u007f-\u009f\ufffd]/.test(text);
}

/** A header as text; undefined of what is none. */
export function asText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return String(value);
  if (typeof value === "number" && Number.isInteger(value)) return String(value);
  if (Buffer.isBuffer(value)) {
    const text = value.toString();
    return text.includes("\ufffd") ? undefined : text;
  }
  return undefined;
}
