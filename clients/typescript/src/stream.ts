/** A call whose answer is a stream, and the reader of it. */

import type { Bus } from "./bus.js";
import { Waiting, publish } from "./call.js";
import { CallFailed } from "./errors.js";
import { givenUp } from "./link.js";
import type { CallOptions, Method } from "./method.js";
import { Reading, type Said } from "./reading.js";
import { isMap } from "./replies.js";
import { type Request, prepare } from "./request.js";
import { WINDOW, WINDOW_MAX, writeCredit } from "./stream_frames.js";

/** Milliseconds that a credit may take. */
const CREDIT_WITHIN = 5_000;

/** What may be said of a call of a stream. */
export interface StreamOptions extends CallOptions {
  /** Bytes that the producer may be ahead of who reads. */
  window?: number;
}

/**
 * A call of a stream, read with `for await`. It is opened with the first item that is asked for; its
 * timeout is that of the opening. Left early, it ends the handler's stream.
 */
export class StreamCall<T> implements AsyncIterable<T> {
  constructor(
    private readonly bus: Bus,
    private readonly method: Method,
    private readonly args: Record<string, unknown>,
    private readonly options: StreamOptions = {},
  ) {}

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    const request = prepare(this.method, this.args, this.options, this.bus.trace, true);
    const window = Math.min(Math.max(1, Math.floor(this.options.window ?? WINDOW)), WINDOW_MAX);
    request.headers["x-replybus-stream"] = String(window);
    const reader = new Reader(this.bus, request, window, this.options.signal);
    try {
      await reader.open();
      yield* reader.reading.items() as AsyncGenerator<T, void, undefined>;
    } finally {
      await reader.close();
    }
  }
}

class Reader {
  readonly reading: Reading;
  private readonly waiting: Waiting;
  private readonly giveUp = () => this.reading.fail(givenUp(true));
  private queue = "";

  constructor(
    private readonly bus: Bus,
    private readonly request: Request,
    window: number,
    private readonly signal?: AbortSignal,
  ) {
    this.reading = new Reading(request.contentType, window, (said) => this.say(said), () => bus.isDeaf());
    this.waiting = new Waiting(bus, request, signal, (frame) => this.reading.take(frame));
    signal?.addEventListener("abort", this.giveUp);
  }

  async open(): Promise<void> {
    await publish(this.bus, this.request, this.signal);
    const opened = await this.waiting.reply();
    const { queue, producer } = isMap(opened) ? opened : {};
    if (typeof queue !== "string" || typeof producer !== "number") {
      throw new CallFailed("bad_reply", "it opens no stream", true);
    }
    if (!queue.startsWith(`${this.bus.names.control}.`)) {
      throw new CallFailed("bad_reply", "it names no control queue of this bus", true);
    }
    this.queue = queue;
    this.reading.producer = producer;
    this.reading.keep();
  }

  private async say({ taken, again, gone }: Said): Promise<void> {
    const { callId } = this.request;
    const { producer } = this.reading;
    const credit = writeCredit({ callId, producer, taken, again, gone });
    // By a name of its own: a credit that is returned is not another.
    const about = { type: "stream", messageId: `${callId}/${producer}/${taken}/${Date.now()}` };
    try {
      await this.bus.link.publish(this.queue, credit, about, CREDIT_WITHIN);
    } catch (error) {
      const isGone = error instanceof CallFailed && error.code === "unroutable";
      if (isGone && !gone) throw new CallFailed("interrupted", "its service is gone", true);
    }
  }

  async close(): Promise<void> {
    this.signal?.removeEventListener("abort", this.giveUp);
    try {
      await this.reading.close();
    } finally {
      this.waiting.end();
    }
  }
}
