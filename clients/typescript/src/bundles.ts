/** Calls to one queue that leave in one message. */

import { idBytes } from "./names.js";
import type { Request } from "./request.js";

/** The type of such a message, and how many calls and bytes are put into one. */
export const BUNDLE = "replybus/bundle";
const ENTRIES_MAX = 16;
const BYTES_MAX = 64 * 1024;
const ENTRY_BYTES_MAX = 16 * 1024;
/** Milliseconds without bundles after a service said that it takes none. */
const STOPPED_FOR = 60_000;

/** Which queues take bundles, by the last that was heard of them. */
export class Bundles {
  private readonly takes = new Set<string>();
  private readonly stopped = new Map<string, number>();

  /** Notes what a reply of a handler said. */
  heard(queue: string, takes: boolean): void {
    if (takes) this.takes.add(queue);
    else this.stopped.set(queue, Date.now() + STOPPED_FOR);
  }

  /** Whether a bundle may be sent to this queue now. */
  mayBe(queue: string): boolean {
    return this.takes.has(queue) && (this.stopped.get(queue) ?? 0) < Date.now();
  }

  /** Requests as they are to leave: lists of those that leave together. */
  divide(requests: Request[]): Request[][] {
    const parts: Request[][] = [];
    const open = new Map<string, Request[]>();
    for (const request of requests) {
      const { queue, body, priority, headers, contentType, method } = request;
      const alone = priority !== undefined || "x-replybus-partition" in headers;
      if (alone || body.length > ENTRY_BYTES_MAX || !this.mayBe(queue)) {
        parts.push([request]);
        continue;
      }
      const like = `${queue} ${method.isCommand} ${contentType}`;
      let part = open.get(like);
      if (part === undefined || !hasRoom(part, request)) {
        part = [];
        open.set(like, part);
        parts.push(part);
      }
      part.push(request);
    }
    return parts;
  }
}

function hasRoom(part: Request[], request: Request): boolean {
  const bytes = part.reduce((sum, one) => sum + one.body.length, request.body.length);
  const first = part[0]?.timeout ?? 0;
  return part.length < ENTRIES_MAX && bytes <= BYTES_MAX && request.timeout <= 2 * first;
}

/** One request in a bundle. */
export function entry(request: Request, soonerMs: number): Buffer {
  const headers = Object.entries(request.entryHeaders());
  const data = Buffer.concat([
    sized(soonerMs, 4),
    sized(request.isRepeated ? 1 : 0, 1),
    idBytes(request.callId),
    text(request.method.name, 1),
    sized(headers.length, 1),
    ...headers.flatMap(([name, value]) => [text(name, 1), text(value, 2)]),
    request.body,
  ]);
  return Buffer.concat([sized(data.length, 4), data]);
}

function sized(number: number, width: number): Buffer {
  const bytes = Buffer.alloc(width);
  bytes.writeUIntBE(number, 0, width);
  return bytes;
}

function text(of: string, width: number): Buffer {
  const bytes = Buffer.from(of);
  return Buffer.concat([sized(bytes.length, width), bytes]);
}
