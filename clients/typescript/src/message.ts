/** A message as it was delivered, or as an entry of a bundle: not yet trusted. */

import type { ConsumeMessage, Options } from "amqplib";
import { CallFailed } from "./errors.js";
import { UNREADABLE } from "./frames.js";
import { idOf } from "./names.js";

const ENTRIES_MAX = 64;
const TEXTS = ["type", "correlationId", "messageId", "replyTo", "contentType", "expiration", "appId"] as const;

export interface Message {
  body: Buffer;
  type?: string | undefined;
  correlationId?: string | undefined;
  messageId?: string | undefined;
  replyTo?: string | undefined;
  contentType?: string | undefined;
  expiration?: string | undefined;
  appId?: string | undefined;
  userId?: string | undefined;
  priority?: number | undefined;
  persistent: boolean;
  timestamp?: number | undefined;
  headers: Record<string, unknown>;
  redelivered: boolean;
  /** The partition that it came by. */
  partition?: number;
}

/** The message of a delivery. */
export function messageOf(delivered: ConsumeMessage): Message {
  const { headers, deliveryMode, ...said } = delivered.properties;
  return {
    ...said,
    body: delivered.content,
    persistent: deliveryMode === 2,
    headers: { ...headers },
    redelivered: delivered.fields.redelivered,
  };
}

/** What of a message can't be read. */
export function malformed(message: Message): string | undefined {
  const text = TEXTS.find((name) => message[name]?.includes(UNREADABLE));
  if (text !== undefined) return `property ${text} is no UTF-8`;
  const isBad = Object.keys(message.headers).some((name) => name.includes(UNREADABLE));
  return isBad ? "its headers are no UTF-8, or nest too deep" : undefined;
}

/** The properties of a message with other headers, without its expiration. */
export function propertiesOf(message: Message, headers: Record<string, unknown>): Options.Publish {
  const { type, correlationId, messageId, replyTo, contentType, appId, priority, timestamp } = message;
  const known = { type, correlationId, messageId, replyTo, contentType, appId, priority, timestamp };
  const given = Object.entries(known).filter(([, value]) => value !== undefined);
  return { ...Object.fromEntries(given), headers, persistent: true };
}

/** The requests in a bundle; throws `bad_request` if it does not come apart into entries. */
export function unbundled(message: Message): Message[] {
  const found: Message[] = [];
  const { body } = message;
  let at = 0;
  while (at < body.length) {
    if (found.length === ENTRIES_MAX || at + 4 > body.length) {
      throw new CallFailed("bad_request", "the bundle does not come apart into entries", false);
    }
    const end = at + 4 + body.readUInt32BE(at);
    if (end > body.length) {
      throw new CallFailed("bad_request", "the bundle ends within an entry", false);
    }
    found.push(entryOf(message, body.subarray(at + 4, end)));
    at = end;
  }
  return found;
}

function entryOf(bundle: Message, data: Buffer): Message {
  const correlationId = data.length >= 21 ? idOf(data.subarray(5, 21)) : undefined;
  const plain = { ...bundle, type: undefined, messageId: undefined, correlationId, headers: {}, body: data };
  try {
    return { ...plain, ...readEntry(bundle, data) };
  } catch {
    // It is a bad request by itself, and named if it has an id.
    return { ...plain, headers: { [UNREADABLE]: true } };
  }
}

function readEntry(bundle: Message, data: Buffer): Partial<Message> {
  const sooner = data.readUInt32BE(0);
  const flags = data.readUInt8(4);
  let at = 21;
  const text = (width: number) => {
    const end = at + width + data.readUIntBE(at, width);
    if (end > data.length) throw new RangeError("it ends within a text");
    const found = data.toString("utf8", at + width, end);
    at = end;
    return found;
  };
  const type = text(1);
  const headers: Record<string, unknown> = {};
  const count = data.readUInt8(at);
  at += 1;
  for (let header = 0; header < count; header++) {
    const name = text(1);
    headers[name] = text(2);
  }
  headers["deadline"] = String(Number(bundle.headers["deadline"]) - sooner);
  if (flags & 1) headers["repeated"] = true;
  const expiration = String(Math.max(0, Number(bundle.expiration) - sooner));
  const times = bundle.expiration === undefined ? {} : { expiration };
  return { type, headers, body: data.subarray(at), ...times };
}
