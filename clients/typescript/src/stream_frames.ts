/** The frames of a stream, and the credit that is given for them, byte by byte. */

import { REPLY_BYTES_MAX } from "./codec.js";
import { idBytes, idOf } from "./names.js";

/** No reply begins with it. */
const MARK = 0xc1;
/** Bytes before the items of a frame, and before each item: they are counted as well. */
export const FRAME_HEAD = 14;
export const ITEM_HEAD = 4;
const CREDIT = 29;

/** Bytes that a producer may be ahead unless a reader says otherwise, and the most it may say. */
export const WINDOW = 1024 * 1024;
export const WINDOW_MAX = 16 * 1024 * 1024;
/** Frames that it may be ahead. */
export const FRAMES_MAX = 64;

/** What a frame is. */
export const Kind = { items: 0, end: 1, handlerError: 2, fault: 3, wait: 5 } as const;

/** A frame that was read. */
export interface Frame {
  kind: number;
  producer: number;
  /** Of its first item; of an end the number behind that of the last item. */
  number: number;
  rest: Buffer;
}

/** True of what is a frame and no reply. */
export function isFrame(data: Uint8Array): boolean {
  return data[0] === MARK;
}

/** A frame; undefined of what is none of an answer. */
export function readFrame(data: Uint8Array): Frame | undefined {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const kind = bytes[1];
  if (bytes.length < FRAME_HEAD || kind === undefined) return undefined;
  if (kind > Kind.fault && kind !== Kind.wait) return undefined;
  const number = Number(bytes.readBigUInt64BE(6));
  return { kind, producer: bytes.readUInt32BE(2), number, rest: bytes.subarray(FRAME_HEAD) };
}

/** The items in a frame; throws if it does not come apart into items. */
export function itemsIn(frame: Frame): Buffer[] {
  const found: Buffer[] = [];
  let at = 0;
  while (at < frame.rest.length) {
    const length = frame.rest.readUInt32BE(at);
    const end = at + ITEM_HEAD + length;
    if (length > REPLY_BYTES_MAX || end > frame.rest.length) {
      throw new RangeError("an item is longer than its frame, or than is allowed");
    }
    found.push(frame.rest.subarray(at + ITEM_HEAD, end));
    at = end;
  }
  return found;
}

/** A frame with this behind its head. */
export function writeFrame(kind: number, producer: number, number: number, rest: Buffer): Buffer {
  const head = Buffer.alloc(FRAME_HEAD);
  head.writeUInt8(MARK, 0);
  head.writeUInt8(kind, 1);
  head.writeUInt32BE(producer, 2);
  head.writeBigUInt64BE(BigInt(number), 6);
  return Buffer.concat([head, rest]);
}

/** A frame of these items; of none it is a sign of life. */
export function writeItems(producer: number, number: number, items: Buffer[]): Buffer {
  const parts = items.flatMap((item) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(item.length);
    return [length, item];
  });
  return writeFrame(Kind.items, producer, number, Buffer.concat(parts));
}

/** What a reader says: all items below `taken` were taken. */
export interface Credit {
  callId: string;
  producer: number;
  taken: number;
  /** All from there on is to be sent again. */
  again: boolean;
  /** Nobody reads any more. */
  gone: boolean;
}

export function writeCredit(credit: Credit): Buffer {
  const body = Buffer.alloc(CREDIT);
  idBytes(credit.callId).copy(body);
  body.writeUInt32BE(credit.producer, 16);
  body.writeBigUInt64BE(BigInt(credit.taken), 20);
  body.writeUInt8((credit.again ? 1 : 0) | (credit.gone ? 2 : 0), 28);
  return body;
}

/** The credits in a message; none if it has another length. */
export function readCredits(body: Buffer): Credit[] {
  if (body.length % CREDIT !== 0 || body.length > 1_000 * CREDIT) return [];
  const found: Credit[] = [];
  for (let at = 0; at < body.length; at += CREDIT) {
    const flags = body.readUInt8(at + 28);
    found.push({
      callId: idOf(body.subarray(at, at + 16)),
      producer: body.readUInt32BE(at + 16),
      taken: Number(body.readBigUInt64BE(at + 20)),
      again: (flags & 1) !== 0,
      gone: (flags & 2) !== 0,
    });
  }
  return found;
}

/** What the reader of a stream of arguments says to its producer, the caller: under the stream's id. */
export interface FeedCredit extends Credit {
  /** Its run has the claim of the call, and no other has. */
  holdsClaim: boolean;
  /** Where its frames go. */
  inbox: string;
}

const FEED_KIND = 4;
const FEED_HEAD = 31;
const INBOX_BYTES_MAX = 255;

export function writeFeedCredit(credit: FeedCredit): Buffer {
  const head = Buffer.alloc(FEED_HEAD);
  head.writeUInt8(MARK, 0);
  head.writeUInt8(FEED_KIND, 1);
  head.writeUInt32BE(credit.producer, 2);
  head.writeBigUInt64BE(BigInt(credit.taken), 6);
  head.writeUInt8((credit.again ? 1 : 0) | (credit.gone ? 2 : 0) | (credit.holdsClaim ? 4 : 0), 14);
  idBytes(credit.callId).copy(head, 15);
  return Buffer.concat([head, Buffer.from(credit.inbox)]);
}

/** A credit for a stream of arguments; undefined of what is none. */
export function readFeedCredit(data: Uint8Array): FeedCredit | undefined {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (bytes.length < FEED_HEAD || bytes.length > FEED_HEAD + INBOX_BYTES_MAX) return undefined;
  if (bytes[0] !== MARK || bytes[1] !== FEED_KIND) return undefined;
  const flags = bytes.readUInt8(14);
  return {
    callId: idOf(bytes.subarray(15, FEED_HEAD)),
    producer: bytes.readUInt32BE(2),
    taken: Number(bytes.readBigUInt64BE(6)),
    again: (flags & 1) !== 0,
    gone: (flags & 2) !== 0,
    holdsClaim: (flags & 4) !== 0,
    inbox: bytes.toString("utf8", FEED_HEAD),
  };
}
