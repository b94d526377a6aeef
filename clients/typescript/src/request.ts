/** One call as a message. */

import type { Options } from "amqplib";
import { type ContentType, MSGPACK, REQUEST_BYTES_MAX, encode } from "./codec.js";
import { TRACE, current, isMetadata, isPlain } from "./context.js";
import { CallFailed, reasonOf } from "./errors.js";
import { type CallOptions, type Method, placeOf } from "./method.js";
import { newId } from "./names.js";

const PRIORITIES = { low: 1, normal: undefined, high: 9 } as const;
/** Above this a quorum queue hands messages out before others. */
const PRIORITY_IN_ORDER = 4;
/** Milliseconds within which a call must be started that nobody waits for. */
const START_WITHIN = 24 * 60 * 60_000;
/** Milliseconds that a call may be given. */
const TIMEOUT_MAX = 7 * 24 * 60 * 60_000;

/** The headers of the trace that calls belong to. */
export type Trace = () => Record<string, string>;

/** A call that was prepared. */
export class Request {
  readonly callId = newId();
  /** When its time is over, in milliseconds since the Unix epoch. */
  readonly until: number;
  /** When it is due, if that is later: milliseconds since the Unix epoch. */
  due: number | undefined;
  /** More than one copy may have reached the broker. */
  isRepeated = false;

  constructor(
    readonly method: Method,
    /** Without the namespace; of a partition with its number. */
    readonly queue: string,
    readonly contentType: ContentType,
    readonly body: Buffer,
    readonly timeout: number,
    readonly key: string | undefined,
    readonly priority: number | undefined,
    /** What travels besides the deadline and the key. */
    readonly headers: Record<string, string>,
  ) {
    this.until = Date.now() + timeout;
  }

  /** Milliseconds until its time is over; at least one. */
  left(): number {
    return Math.max(1, Math.floor(this.until - Date.now()));
  }

  /**
   * Whether a second copy does no harm: it is a query, or known by its record, and there is time. Of a
   * partition it would come behind later calls of its key.
   */
  mayBeRepeated(): boolean {
    const isKnown = !this.method.isCommand || (this.method.isRecorded ?? true);
    return isKnown && Date.now() < this.until && !("x-replybus-partition" in this.headers);
  }

  /** The properties of one whose reply is waited for in this inbox. */
  awaited(inbox: string, app: string): Options.Publish {
    return this.properties(app, { deadline: String(this.until) }, this.method.isCommand, {
      correlationId: this.callId,
      replyTo: inbox,
    });
  }

  /** The properties of one whose reply is fetched later. */
  submitted(app: string): Options.Publish {
    return this.properties(app, {}, true, { correlationId: this.callId, messageId: this.callId });
  }

  /** The properties of one that has no reply. */
  oneWay(app: string): Options.Publish {
    return this.properties(app, {}, true, { messageId: this.callId });
  }

  private properties(
    appId: string,
    first: Record<string, unknown>,
    persistent: boolean,
    named: Options.Publish,
  ): Options.Publish {
    const headers: Record<string, unknown> = { ...first, ...this.entryHeaders() };
    let times: Options.Publish = { expiration: String(this.left()) };
    if (this.due !== undefined) {
      // It has no time to live while it waits: its deadline says until when it may be started.
      times = {};
      headers["deadline"] = String(this.due + this.timeout);
      headers["x-replybus-due"] = String(this.due);
    }
    return {
      type: this.method.name,
      contentType: this.contentType,
      ...times,
      appId,
      persistent,
      headers: this.isRepeated ? { ...headers, repeated: true } : headers,
      ...(this.priority === undefined ? {} : { priority: this.priority }),
      ...named,
    };
  }

  /** The headers that each call has of its own. */
  entryHeaders(): Record<string, string> {
    return this.key === undefined ? this.headers : { "idempotency-key": this.key, ...this.headers };
  }
}

/** A request of this call; what a running handler's call says is inherited. Throws `bad_request`. */
export function prepare(
  method: Method,
  args: Record<string, unknown>,
  options: CallOptions,
  trace: Trace | undefined,
  isAwaited: boolean,
): Request {
  try {
    return prepared(method, args, options, trace, isAwaited);
  } catch (error) {
    throw new CallFailed("bad_request", reasonOf(error), false);
  }
}

function prepared(
  method: Method,
  args: Record<string, unknown>,
  options: CallOptions,
  trace: Trace | undefined,
  isAwaited: boolean,
): Request {
  const of = current();
  let timeout = options.timeout ?? (isAwaited ? method.timeout : START_WITHIN);
  if (isAwaited && of?.deadline !== undefined) timeout = Math.min(timeout, of.deadline - Date.now());
  if (!(timeout >= 1 && timeout <= TIMEOUT_MAX)) {
    throw new RangeError(`a timeout of ${timeout} ms: there must be time, and a week at most`);
  }
  const key = options.idempotencyKey;
  if (key !== undefined && (!key || Buffer.byteLength(key) > 255 || !isPlain(key))) {
    throw new RangeError("an idempotency key has 1 to 255 bytes without control characters");
  }
  const contentType = options.contentType ?? MSGPACK;
  const body = encode(contentType, args);
  if (body.length > REQUEST_BYTES_MAX) {
    throw new RangeError(`${body.length} bytes of arguments, ${REQUEST_BYTES_MAX} are allowed`);
  }
  const [queue, partition] = placeOf(method, args);
  const headers = { ...of?.metadata, ...of?.trace, ...carried(trace), ...metadata(options) };
  if (partition !== undefined) headers["x-replybus-partition"] = partition;
  let priority = options.priority === undefined ? of?.priority || undefined : PRIORITIES[options.priority];
  // Nothing may overtake another call of its key, as what is above does in a quorum queue.
  if (partition !== undefined && (priority ?? 0) > PRIORITY_IN_ORDER) priority = undefined;
  const whole = Math.floor(timeout);
  return new Request(method, queue, contentType, body, whole, key, priority, headers);
}

function carried(trace: Trace | undefined): Record<string, string> {
  const all = trace?.() ?? {};
  const ours = TRACE.map((name) => [name, all[name]] as const);
  return Object.fromEntries(ours.filter((of): of is [(typeof TRACE)[number], string] => !!of[1]));
}

function metadata(options: CallOptions): Record<string, string> {
  for (const [name, value] of Object.entries(options.metadata ?? {})) {
    if (!isMetadata(name, value)) {
      throw new TypeError(
        `metadata ${name}: names have 1 to 64 of a-z, 0-9, '-', '_', '.', are none of the protocol's ` +
          "and don't begin with x- or dead-letter-; values no control characters",
      );
    }
  }
  return options.metadata ?? {};
}
