/** The control line of a worker: what is said to it beside the queue that it serves. */

import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Channel, ConsumeMessage } from "amqplib";
import { readEnvelope } from "./envelope.js";
import { type Consuming, inTime } from "./link.js";
import { type Message, messageOf } from "./message.js";
import { idOf } from "./names.js";
import { value } from "./replies.js";
import type { Serving } from "./serving.js";
import { readCredits } from "./stream_frames.js";

const CANCEL = 20;
const CANCELS_MAX = 1_000;
const QUESTION_BYTES_MAX = 1_024;
const ARGUMENTS = {
  "x-queue-type": "classic",
  "x-expires": 60_000,
  "x-max-length": 10_000,
  "x-overflow": "reject-publish",
};
/** Milliseconds between two announcements of an instance, and for which one counts. */
const ANNOUNCED_EVERY = 1_750;
const ANNOUNCED_FOR = 6_000;
/** Milliseconds that a delivery waits until others see the instance. */
const SEEN_WITHIN = 1_000;
const SERVED_FOR = 24 * 60 * 60_000;

/** What one instance hears, and says of itself. */
export class ControlLine implements Consuming {
  readonly prefetch = 64;
  private readonly startedAt = Date.now();
  /** Until when others surely see its record, and from when on that is tried again. */
  private sureUntil = 0;
  private againAt = 0;
  private announcing: Promise<void> | undefined;

  constructor(private readonly serving: Serving) {}

  get queue(): string {
    return this.serving.controlQueue;
  }

  async declare(channel: Channel): Promise<void> {
    const { names, service } = this.serving;
    await channel.assertQueue(this.queue, { durable: true, arguments: ARGUMENTS });
    await channel.assertExchange(names.control, "topic", { durable: true });
    await channel.bindQueue(this.queue, names.control, names.full(service.queue));
  }

  take(channel: Channel, delivered: ConsumeMessage): void {
    this.hear(messageOf(delivered))
      .catch((error: Error) => this.serving.bus.link.log(`the control line: ${error.message}`))
      .finally(() => acknowledge(channel, delivered));
  }

  /** Takes one message; what it does not know it passes over. */
  private async hear(message: Message): Promise<void> {
    if (message.type === "cancel") this.cancel(message.body);
    else if (message.type === "stream") {
      for (const credit of readCredits(message.body)) {
        await this.serving.producers.get(`${credit.callId}/${credit.producer}`)?.heard(credit);
      }
    } else if (message.type === "ping") {
      await this.answer(message, { instance: this.serving.instance });
    } else if (message.type === "jobs") {
      await this.answer(message, { instance: this.serving.instance, ...this.serving.jobs.told() });
    } else if (message.type === "info") {
      await this.answer(message, this.record());
    }
  }

  private cancel(body: Buffer): void {
    if (body.length % CANCEL !== 0 || body.length > CANCELS_MAX * CANCEL) return;
    for (let at = 0; at < body.length; at += CANCEL) {
      const id = idOf(body.subarray(at, at + 16));
      this.serving.held.cancel(id, body.readUInt32BE(at + 16));
    }
  }

  private async answer(question: Message, body: object): Promise<void> {
    const read = readEnvelope(question, this.serving.names);
    if (read.fault !== undefined || !read.isAwaited) return;
    if (question.body.length > QUESTION_BYTES_MAX) return;
    await this.serving.reply(read, value(read.contentType, body));
  }

  /** What is known of this instance. */
  private record(): object {
    const { serving } = this;
    const { partitions } = serving.service;
    return {
      ...(partitions === undefined ? {} : { partitions }),
      id: serving.instance,
      service: serving.service.name,
      program: serving.bus.app,
      host: hostname().slice(0, 255),
      process: process.pid,
      methods: {},
      started_at: this.startedAt,
      in_flight: serving.inFlight,
      draining: serving.isStopping,
    };
  }

  /** Says until `stop` fires that this instance is there. */
  async announce(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      await this.announced();
      await sleep(ANNOUNCED_EVERY, undefined, { signal: stop }).catch(() => undefined);
    }
  }

  /**
   * Has others see this instance, if they may have missed it: whoever saw nobody may have given up what is
   * about to be begun.
   */
  async beSeen(): Promise<void> {
    if (performance.now() >= this.againAt) await this.beSurelySeen();
  }

  /** As `beSeen`, also if that was tried in vain a moment ago: Redis has answered since then. */
  async beSurelySeen(): Promise<void> {
    if (performance.now() < this.sureUntil) return;
    await inTime(this.announced(), SEEN_WITHIN).catch(() => this.excuse());
  }

  /** Announces it, together with whoever does so already; if that fails it is said again soon. */
  private announced(): Promise<void> {
    this.announcing ??= this.announceOnce()
      .catch(() => this.excuse())
      .finally(() => {
        this.announcing = undefined;
      });
    return this.announcing;
  }

  /** It could not be announced: until that is tried again nothing waits for it. */
  private excuse(): void {
    this.againAt = performance.now() + ANNOUNCED_EVERY;
  }

  private async announceOnce(): Promise<void> {
    const { bus, service, instance } = this.serving;
    const askedAt = performance.now();
    const wasSure = askedAt < this.sureUntil;
    const record = JSON.stringify(this.record());
    await bus.scripts.run("announce", bus.names.instances(service.queue), [instance, record, ANNOUNCED_FOR]);
    if (!wasSure) await this.serving.begin();
    // A second for what is begun by it.
    this.sureUntil = askedAt + ANNOUNCED_FOR - 1_000;
    const [seconds] = await bus.redis.time();
    await bus.redis.zadd(bus.names.served(), Number(seconds) * 1000 + SERVED_FOR, service.queue);
  }

  /** Says that it is gone. */
  async withdraw(): Promise<void> {
    const { bus, service, instance } = this.serving;
    try {
      const left = await bus.scripts.run("withdraw", bus.names.instances(service.queue), [instance]);
      if (left === 0) await bus.redis.zrem(bus.names.served(), service.queue);
    } catch {
      // Its record expires by itself.
    }
  }
}

/** Acknowledges a delivery, if its channel is still there: otherwise it is delivered again. */
export function acknowledge(channel: Channel, delivered: ConsumeMessage): void {
  try {
    channel.ack(delivered);
  } catch {
    // The channel is closed.
  }
}
