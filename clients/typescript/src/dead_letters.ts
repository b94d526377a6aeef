/** Messages that could not be handled, kept for somebody to look at. */

import type { CallFailed } from "./errors.js";
import type { Link } from "./link.js";
import { type Message, malformed, propertiesOf } from "./message.js";
import type { Names } from "./names.js";
import { Pauses } from "./pauses.js";

const HEADERS_MAX = 16 * 1024;
const BODY_MAX = 262_144;
const TEXT_MAX = 512;
/** Milliseconds after which a letter is dropped that the broker does not take. */
const WITHIN = 20_000;
const LEFT_OUT = new Set(["deadline", "repeated", "x-replybus-due"]);
const RENAMED: Record<string, string> = { CC: "dead-letter-cc", BCC: "dead-letter-bcc" };

/** What a queue is declared with so that it may be given messages back as good as without limit. */
export function returns(queueType: string): Record<string, unknown> {
  return queueType === "quorum" ? { "x-delivery-limit": 2_147_483_647 } : {};
}

/** Why a message is a dead letter. */
export interface Cause {
  code: string;
  text: string;
  mayHaveExecuted: boolean;
  knownUntil?: number | undefined;
  attempts?: number | undefined;
}

/** The dead letters of one queue, which is named without the namespace. */
export class DeadLetters {
  private readonly of: string;

  constructor(
    private readonly link: Link,
    names: Names,
    queue: string,
  ) {
    this.of = names.full(queue);
  }

  /** Where they are kept. */
  get queue(): string {
    return `${this.of}.dead`;
  }

  /** What the queue is declared with. */
  args(queueType: string): Record<string, unknown> {
    return {
      "x-queue-type": queueType,
      "x-max-length": 100_000,
      "x-max-length-bytes": 1_073_741_824,
      "x-overflow": "reject-publish",
      ...returns(queueType),
    };
  }

  /** Keeps a message, or drops and logs it, if the broker does not take it for 20 s. */
  async keep(message: Message, cause: Cause): Promise<void> {
    const name = message.correlationId ?? message.messageId;
    const until = Date.now() + WITHIN;
    const pauses = new Pauses(100, 2_000);
    const properties = propertiesOf(message, this.headers(message, cause));
    const body = message.body.subarray(0, BODY_MAX);
    for (let left = WITHIN; left > 0; left = until - Date.now()) {
      try {
        await this.link.publish(this.queue, body, properties, left);
        this.link.log(`${name} is a dead letter in ${this.queue}: ${cause.code}`);
        return;
      } catch (error) {
        this.link.log(`a dead letter was not taken: ${(error as CallFailed).message}`);
      }
      await pauses.wait();
    }
    this.link.log(`a dead letter was dropped: ${name} of ${this.of}: ${cause.code}`);
  }

  private headers(message: Message, cause: Cause): Record<string, unknown> {
    const kept: Record<string, unknown> = {};
    let size = 0;
    let leftOut = 0;
    for (const [name, value] of Object.entries(message.headers)) {
      const isOfLetter = name.startsWith("dead-letter-") && name !== "dead-letter-redriven";
      if (LEFT_OUT.has(name) || isOfLetter || name.includes("\ufffd")) continue;
      size += name.length + String(value).length;
      if (size > HEADERS_MAX) leftOut += 1;
      else kept[RENAMED[name] ?? name] = value;
    }
    const bytes = message.body.length;
    const isShort = leftOut > 0 || bytes > BODY_MAX;
    const shortened = `${leftOut} headers left out, ${Math.min(bytes, BODY_MAX)} of ${bytes} bytes of body kept`;
    const said = {
      reason: cause.code,
      message: cause.text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "").slice(0, TEXT_MAX),
      queue: message.partition === undefined ? this.of : `${this.of}.${message.partition}`,
      at: String(Date.now()),
      "may-have-executed": String(cause.mayHaveExecuted),
      "known-until": cause.knownUntil?.toString(),
      attempts: cause.attempts?.toString(),
      malformed: malformed(message) === undefined ? undefined : "true",
      shortened: isShort ? shortened : undefined,
      "user-id": message.userId,
    };
    for (const [name, value] of Object.entries(said)) {
      if (value !== undefined) kept[`dead-letter-${name}`] = value;
    }
    return kept;
  }
}
