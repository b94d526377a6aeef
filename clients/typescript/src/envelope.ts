/** What a request says about itself, read without trust. */

import {
  type ContentType,
  JSON_TYPE,
  MSGPACK,
  REQUEST_BYTES_MAX,
  contentTypeIn,
  contentTypeOf,
} from "./codec.js";
import { type Context, TRACE, asText, isPlain, metadataOf } from "./context.js";
import { CallFailed } from "./errors.js";
import { type Message, malformed } from "./message.js";
import { type Names, isId, newId } from "./names.js";
import { type Progress, progressOf } from "./progress.js";

/** Milliseconds by which the clocks of caller and worker may differ. */
export const CLOCK_ALLOWANCE = 500;

/** A request, as far as it can be read. Times are milliseconds since the Unix epoch, by our clock. */
export interface Envelope {
  message: Message;
  callId: string;
  /** The message says that id itself: it has it in every delivery. */
  isNamed: boolean;
  /** Somebody looks for the reply. */
  isAwaited: boolean;
  inbox: string | undefined;
  contentType: ContentType;
  /** When its caller stops waiting, and when it is not to be started any more. */
  deadline: number | undefined;
  startBy: number | undefined;
  /** The deadline as the message names it. */
  deadlineNamed: number | undefined;
  key: string | undefined;
  /** An earlier delivery or copy may have been run. */
  seenBefore: boolean;
  isRedriven: boolean;
  /** The first thing that is wrong with it. */
  fault: CallFailed | undefined;
}

export function isLate(read: Envelope): boolean {
  return read.startBy !== undefined && read.startBy <= Date.now();
}

/** The envelope of a message. */
export function readEnvelope(message: Message, names: Names): Envelope {
  let fault: CallFailed | undefined;
  const bad = (text: string) => {
    fault ??= new CallFailed("bad_request", text, false);
  };
  const unreadable = malformed(message);
  if (unreadable !== undefined) bad(`the message can't be read: ${unreadable}`);
  if (message.body.length > REQUEST_BYTES_MAX) {
    bad(`the body has ${message.body.length} bytes, ${REQUEST_BYTES_MAX} are allowed`);
  }
  const { name, inbox } = address(message, names, bad);
  const repeated = asText(message.headers["repeated"] ?? false);
  if (repeated === undefined) bad("header repeated: it has no value that can be read");
  const contentType = encoding(message, bad);
  const key = keyOf(message, bad);
  const times = timesOf(message, inbox !== undefined, bad);
  return {
    message,
    callId: name ?? newId(),
    isNamed: name !== undefined,
    isAwaited: isId(message.correlationId),
    inbox,
    contentType,
    ...times,
    key,
    seenBefore: message.redelivered || repeated !== "false",
    isRedriven: "dead-letter-redriven" in message.headers,
    fault,
  };
}

type Bad = (text: string) => void;

function address(message: Message, names: Names, bad: Bad): { name?: string; inbox: string | undefined } {
  const { correlationId, messageId, replyTo } = message;
  if (correlationId === undefined) {
    return { ...(isId(messageId) ? { name: messageId } : {}), inbox: undefined };
  }
  if (!isId(correlationId)) {
    bad("correlation_id: a UUID in lower case with hyphens is expected");
    return { inbox: undefined };
  }
  const isInbox = replyTo !== undefined && names.isInbox(replyTo);
  if (replyTo !== undefined && !isInbox) bad("reply_to: not an inbox of this bus");
  return { name: correlationId, inbox: isInbox ? replyTo : undefined };
}

function encoding(message: Message, bad: Bad): ContentType {
  try {
    return contentTypeOf(message.contentType);
  } catch (error) {
    bad((error as Error).message);
    if (message.contentType?.toLowerCase().includes("json")) return JSON_TYPE;
    return message.body.length > 0 ? contentTypeIn(message.body) : MSGPACK;
  }
}

function keyOf(message: Message, bad: Bad): string | undefined {
  if (!("idempotency-key" in message.headers)) return undefined;
  const key = asText(message.headers["idempotency-key"]);
  if (key && Buffer.byteLength(key) < 256 && isPlain(key)) return key;
  bad("header idempotency-key: 1 to 255 bytes without control characters are expected");
  return undefined;
}

function timesOf(
  message: Message,
  waits: boolean,
  bad: Bad,
): Pick<Envelope, "deadline" | "startBy" | "deadlineNamed"> {
  const expires = /^\d{1,15}$/.test(message.expiration ?? "")
    ? Date.now() + Number(message.expiration)
    : undefined;
  let named: number | undefined;
  if ("deadline" in message.headers) {
    const text = asText(message.headers["deadline"]) ?? "";
    if (/^\d{1,15}$/.test(text)) named = Number(text);
    else bad("header deadline: milliseconds since the Unix epoch are expected");
  }
  const byClock = named === undefined ? undefined : named + CLOCK_ALLOWANCE;
  const known = [expires, byClock].filter((moment) => moment !== undefined);
  const startBy = known.length > 0 ? Math.min(...known) : undefined;
  // It was delayed: its deadline says until when it may be started.
  if (!waits && "x-replybus-due" in message.headers) {
    return { deadline: undefined, startBy, deadlineNamed: undefined };
  }
  const deadline = byClock !== undefined ? startBy : waits ? expires : undefined;
  return { deadline, startBy, deadlineNamed: named };
}

/** What its handler may know. */
export function contextOf(
  read: Envelope,
  attempt: number,
  cancelled: AbortSignal,
  names = { service: "", method: "" },
  report: (progress: Progress) => void = () => undefined,
): Context {
  const { headers } = read.message;
  const texts = TRACE.map((name) => [name, asText(headers[name])] as const);
  const trace = Object.fromEntries(texts.filter((of): of is [(typeof TRACE)[number], string] => !!of[1]));
  if (!("traceparent" in trace)) {
    // It begins here, and is named after the call.
    const id = read.callId.replaceAll("-", "");
    trace["traceparent"] = `00-${id}-${id.slice(16)}-00`;
  }
  const known = read.key === undefined ? `id:${read.callId}` : `key:${read.key}`;
  return {
    callId: read.callId,
    ...names,
    recordName: `${names.service}.${names.method}:${known}`,
    caller: read.message.appId,
    idempotencyKey: read.key,
    attempt,
    redelivered: read.seenBefore,
    deadline: read.deadline,
    priority: read.message.priority ?? 0,
    metadata: metadataOf(headers),
    trace,
    cancelled,
    progress: (done, total, note) => report(progressOf(done, total, note)),
  };
}
