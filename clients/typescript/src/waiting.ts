/**
 * Messages of a service with jobs that wait with the broker, outside of its queue: those of jobs that run,
 * and those that no handler has been free for.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { asText } from "./context.js";
import { type Envelope, isLate } from "./envelope.js";
import { CallFailed } from "./errors.js";
import { type Message, propertiesOf } from "./message.js";
import { onceMore, unrouted } from "./retries.js";
import type { Serving } from "./serving.js";

/** Milliseconds after which a message that waits comes back. */
const LOOKED_AT_EVERY = 10_000;
/** Milliseconds that the broker has to take one, and before it is published again. */
const CONFIRMED_WITHIN = 20_000;
const AGAIN_AFTER = 1_000;
export const STARTED = "x-replybus-job-started";
export const MISSED = "x-replybus-job-missed";

/** Whether a message has this header, and it is true. */
export function says(message: Message, header: string): boolean {
  return asText(message.headers[header]) === "true";
}

/** The headers of the message of a job that was started. */
export function startedHeaders(read: Envelope, isMissed: boolean): Record<string, unknown> {
  const headers = unrouted(read.message.headers);
  delete headers[MISSED];
  if (read.message.replyTo === undefined) {
    // They say when it is no longer to be started.
    delete headers["deadline"];
    delete headers["x-replybus-due"];
  }
  return { ...headers, repeated: true, [STARTED]: true, ...(isMissed ? { [MISSED]: true } : {}) };
}

/** The headers of the message of a request that no handler was free for. */
export function unstartedHeaders(read: Envelope): Record<string, unknown> {
  const headers = onceMore(read);
  delete headers[MISSED];
  // The broker takes it for a new one.
  return { ...headers, ...(read.seenBefore ? { repeated: true } : {}) };
}

/** The waiting messages of one service. */
export class WaitingRoom {
  private isClosed = false;

  constructor(private readonly serving: Serving) {}

  /**
   * Has the broker keep the message of a job that was started, until it is to be looked at again; false if
   * it takes none such, or `isOver` says that there is no need of it.
   */
  keepStarted(read: Envelope, isMissed = false, isOver = () => false): Promise<boolean> {
    return this.keep(read, startedHeaders(read, isMissed), isOver);
  }

  /** Has the broker keep a message that no handler was free for; false if it takes none such. */
  async putOff(read: Envelope): Promise<boolean> {
    // Whoever waited for it does no more. What may have been begun, or was put back, is kept for whoever
    // says what became of it.
    const isOver = isLate(read) && read.deadline !== undefined;
    if (isOver && !read.seenBefore && !read.isRedriven) return true;
    return this.keep(read, unstartedHeaders(read), () => false);
  }

  private async keep(read: Envelope, headers: Record<string, unknown>, isOver: () => boolean): Promise<boolean> {
    const { bus, queue } = this.serving;
    const properties = propertiesOf(read.message, headers);
    while (!this.isClosed && !isOver()) {
      const due = Date.now() + LOOKED_AT_EVERY;
      try {
        await bus.delays.publish({ exchange: "", key: queue }, read.message.body, properties, due, CONFIRMED_WITHIN);
        return true;
      } catch (error) {
        if (!(error instanceof CallFailed)) throw error;
        if (error.code === "denied" || error.code === "bad_request") {
          bus.link.log(
            `messages of ${queue} can't be delayed: those of jobs are held until they are done, which RabbitMQ ` +
              `ends after 30 minutes: ${error.message}`,
          );
          this.isClosed = true;
        } else {
          bus.link.log(`the message of a job is published again: ${error.message}`);
          await sleep(AGAIN_AFTER);
        }
      }
    }
    return false;
  }
}
