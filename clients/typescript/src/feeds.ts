/** The handler's end of a stream of arguments: its reader is there before the handler is called. */

import { asText } from "./context.js";
import type { Envelope } from "./envelope.js";
import { CallError, CallFailed } from "./errors.js";
import { append } from "./inbox.js";
import { inTime } from "./link.js";
import { newId } from "./names.js";
import { Reading } from "./reading.js";
import { type Served, isClaimed } from "./service.js";
import type { Serving } from "./serving.js";
import { WINDOW_MAX, readFrame, writeFeedCredit } from "./stream_frames.js";

/** Streams that one service reads at a time. */
const STREAMS_MAX = 1024;

/**
 * The bytes that the sender of a stream would be ahead; undefined if the method takes no stream. Throws
 * `bad_request` if it takes one and none is sent, or the other way round.
 */
export function invited(served: Served, read: Envelope): number | undefined {
  const asked = read.message.headers["x-replybus-stream"];
  if (served.kind === "stream") return undefined;
  if (served.fed === undefined) {
    if (asked === undefined) return undefined;
    const text = `method ${served.name} takes no stream, and header x-replybus-stream offers one`;
    throw new CallFailed("bad_request", text, false);
  }
  const text = asText(asked) ?? "";
  if (read.inbox !== undefined && /^[1-9]\d{0,14}$/.test(text)) return Math.min(Number(text), WINDOW_MAX);
  const wanted =
    `argument ${served.fed} is a stream: it takes an inbox, and the header x-replybus-stream, how many ` +
    "bytes its sender would be ahead";
  throw new CallFailed("bad_request", wanted, false);
}

/** A stream that a handler reads. */
export class Fed {
  private readonly stream = newId();
  private readonly reading: Reading;
  private leave = () => {};

  constructor(
    private readonly serving: Serving,
    served: Served,
    read: Envelope,
    window: number,
  ) {
    const { bus } = serving;
    const holdsClaim = isClaimed(served);
    this.reading = new Reading(
      read.contentType,
      window,
      async (said) => {
        const { producer } = this.reading;
        const credit = writeFeedCredit({ callId: this.stream, producer, holdsClaim, inbox: bus.inbox.name, ...said });
        // What is lost is said again.
        await append(bus.redis, read.inbox ?? "", read.callId, credit);
      },
      () => !bus.inbox.isRead,
      "bad_request",
    );
    this.reading.producer = Math.floor(Math.random() * 0x1_0000_0000);
  }

  /**
   * Becomes the reader, and waits until the caller has begun to send it to this one; throws `cancelled` if
   * it does not, and the handler is not to be called.
   */
  async open(cancelled: AbortSignal, until: number): Promise<void> {
    if (this.serving.fed.size >= STREAMS_MAX) {
      throw new CallFailed("overloaded", `${STREAMS_MAX} streams are read already`, false);
    }
    this.serving.fed.add(this);
    this.leave = this.serving.bus.inbox.waiting(this.stream, (data) => {
      const frame = readFrame(data);
      if (frame !== undefined) this.reading.take(frame);
    });
    const cancel = () => this.reading.fail(new CallFailed("cancelled", "it was cancelled", false));
    cancelled.addEventListener("abort", cancel);
    this.reading.keep();
    try {
      await this.reading.tell();
      await inTime(this.reading.begun(), until - Date.now());
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      throw new CallFailed("cancelled", `its stream did not begin: ${error.message}`, false);
    } finally {
      cancelled.removeEventListener("abort", cancel);
    }
  }

  /** The items. */
  items(): AsyncIterable<unknown> {
    return this.reading.items();
  }

  /** Reads no more. */
  async close(): Promise<void> {
    this.serving.fed.delete(this);
    try {
      await this.reading.close();
    } finally {
      this.leave();
    }
  }
}
