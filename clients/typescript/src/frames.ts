/**
 * What the broker passes on and amqplib stops at.
 *
 * Tables in each other are read by calls in each other, until the stack ends, and the connection with it:
 * as the message is delivered again after that, so does the next one. Here a table that can't be read is
 * made one that can before it is, and a worker sees that the message is malformed.
 */

/** The name of a header that stands for what can't be read: amqplib puts it in the place of what is no UTF-8. */
export const UNREADABLE = "\ufffd";

/** Tables and arrays in each other, that of the headers counted. */
const DEPTH_MAX = 32;
const HEADER_FRAME = 2;
const FRAME_HEAD = 7;
/** Bytes before the properties' flags, and the flags of those that may be before the headers. */
const CONTENT_HEAD = 12;
const [CONTENT_TYPE, CONTENT_ENCODING, HEADERS] = [0x8000, 0x4000, 0x2000];
/** A name that is no UTF-8, and the type of bytes, whose length follows. */
const MARK = Buffer.from([1, 0xff, "x".charCodeAt(0)]);
/** Bytes of the values of each type; those of the others follow their length. */
const SIZES: Record<string, number> = { V: 0, b: 1, B: 1, t: 1, s: 2, u: 2, I: 4, i: 4, f: 4, D: 5, d: 8, l: 8, T: 8 };

/** What of amqplib's connection takes frames from the socket. */
interface Receiver {
  rest: Buffer;
  recvFrame(): unknown;
}

/** Has a connection outlive headers that can't be read. */
export function readSafely(connection: object): void {
  const receiver = connection as Receiver;
  const { recvFrame } = receiver;
  receiver.recvFrame = () => {
    makeReadable(receiver.rest);
    return recvFrame.call(receiver);
  };
}

/** Takes out the headers of the frame that this begins with, in their place, if they can't be read. */
export function makeReadable(received: Buffer): void {
  if (received.length < FRAME_HEAD || received[0] !== HEADER_FRAME) return;
  const end = FRAME_HEAD + received.readUInt32BE(3);
  if (received.length < end) return;
  const headers = headersIn(received.subarray(FRAME_HEAD, end));
  if (headers === undefined || headers.length < MARK.length + 4 || isReadable(headers, true, 1)) return;
  MARK.copy(headers);
  headers.writeUInt32BE(headers.length - MARK.length - 4, MARK.length);
}

function headersIn(content: Buffer): Buffer | undefined {
  if (content.length < CONTENT_HEAD + 2) return undefined;
  const flags = content.readUInt16BE(CONTENT_HEAD);
  let at = CONTENT_HEAD + 2;
  for (const flag of [CONTENT_TYPE, CONTENT_ENCODING]) if (flags & flag) at += 1 + (content[at] ?? 0);
  if (!(flags & HEADERS) || at + 4 > content.length) return undefined;
  return content.subarray(at + 4, at + 4 + content.readUInt32BE(at));
}

/** Whether a table, or an array, nests no deeper than is allowed, of values that are known and end in it. */
function isReadable(data: Buffer, isTable: boolean, depth: number): boolean {
  if (depth > DEPTH_MAX) return false;
  let at = 0;
  while (at < data.length) {
    if (isTable) at += 1 + (data[at] ?? 0);
    const type = String.fromCharCode(data[at] ?? 0);
    at += 1;
    let size = SIZES[type];
    if (size === undefined) {
      if (!"SxAF".includes(type) || at + 4 > data.length) return false;
      size = data.readUInt32BE(at);
      at += 4;
      const inner = data.subarray(at, at + size);
      if ("AF".includes(type) && !isReadable(inner, type === "F", depth + 1)) return false;
    }
    at += size;
    if (at > data.length) return false;
  }
  return true;
}
