/** A group's part in events: each is handled once by one of its members. */

import type { Channel, ConsumeMessage } from "amqplib";
import type { Bus } from "./bus.js";
import { ATTEMPTS_MAX, Claims, type Claim, claimOf } from "./claims.js";
import { MSGPACK, decode } from "./codec.js";
import { within } from "./context.js";
import { DeadLetters } from "./dead_letters.js";
import { untilDone } from "./deliveries.js";
import { type Envelope, contextOf, readEnvelope } from "./envelope.js";
import { stackOf } from "./errors.js";
import { type Consuming, deferred } from "./link.js";
import { type Message, malformed, messageOf } from "./message.js";
import { newId } from "./names.js";
import { Pauses } from "./pauses.js";
import { Places } from "./places.js";
import { counted } from "./redeliveries.js";
import { value } from "./replies.js";
import { LONGEST } from "./runs.js";
import { Running } from "./running.js";

export type EventHandler<T = unknown> = (event: T) => Promise<void>;

/** Milliseconds for which an event is handed to its handler again that refuses it. */
const REFUSED_FOR = 60_000;
const EVENT_ID_BYTES = 64;

/**
 * A group that takes one kind of event until it is shut down; made by `Bus.subscribe`. An event that its
 * handler throws at is handed to it again for a minute, and then kept as a dead letter.
 */
export class Subscription implements Consuming {
  readonly prefetch: number;
  private readonly letters: DeadLetters;
  private readonly claims: Claims;
  private readonly places: Places;
  private readonly running: Running;
  private readonly stopping = new AbortController();
  private taking: Promise<void> = Promise.resolve();

  private constructor(
    private readonly bus: Bus,
    private readonly group: string,
    private readonly event: string,
    private readonly handler: EventHandler,
    private readonly exchange: string,
    concurrency: number,
  ) {
    this.prefetch = concurrency * 2;
    this.letters = new DeadLetters(bus.link, bus.names, group);
    this.claims = new Claims(bus.scripts, bus.names, bus.link.log);
    this.places = new Places(concurrency);
    this.running = new Running(bus.link.log);
  }

  /** Subscribes, and returns once events are taken. */
  static async start(
    bus: Bus,
    group: string,
    event: string,
    handler: EventHandler,
    exchange: string,
    concurrency: number,
  ): Promise<Subscription> {
    const full = bus.names.full(exchange);
    const subscription = new Subscription(bus, group, event, handler, full, concurrency);
    const ready = deferred<void>();
    subscription.taking = bus.link.consume(subscription, subscription.stopping.signal, ready.resolve);
    await ready.promise;
    return subscription;
  }

  /** Takes no more, and ends what runs. The group stays, and events wait for its next member. */
  async shutdown(): Promise<void> {
    this.stopping.abort();
    await this.taking;
  }

  get queue(): string {
    return this.bus.names.full(this.group);
  }

  async declare(channel: Channel): Promise<void> {
    const { letters } = this;
    await channel.assertQueue(this.queue, { durable: true, arguments: { "x-queue-type": "classic" } });
    await channel.assertQueue(letters.queue, { durable: true, arguments: letters.args("classic") });
    await channel.assertExchange(this.exchange, "topic", { durable: true });
    await channel.bindQueue(this.queue, this.exchange, this.event);
  }

  take(channel: Channel, delivered: ConsumeMessage): void {
    this.running.add(channel, delivered, async () => {
      await this.places.enter();
      try {
        if (this.stopping.signal.aborted) return false;
        return await this.handled(messageOf(delivered), delivered.fields.routingKey);
      } finally {
        this.places.leave();
      }
    });
  }

  end(): Promise<void> {
    return this.running.drain();
  }

  /** Takes an event to its end; false if it is to be delivered again. */
  private async handled(message: Message, routingKey: string): Promise<boolean> {
    if (message.type !== this.event && routingKey !== this.event) {
      await this.refuse(message, "unknown_method", `the group takes ${this.event}`, false);
      return true;
    }
    const read = readEnvelope(message, this.bus.names);
    let event: unknown;
    try {
      const reason = malformed(message);
      if (reason !== undefined) throw new TypeError(reason);
      event = decode(read.contentType, message.body);
    } catch (error) {
      await this.refuse(message, "bad_request", (error as Error).message, false);
      return true;
    }
    const named = message.messageId ?? "";
    const isNamed = named !== "" && Buffer.byteLength(named) <= EVENT_ID_BYTES;
    if (isNamed) return this.claimed(named, read, event, 1);
    if (!message.redelivered) return this.claimed(newId(), read, event, 1);
    // No claim of an earlier delivery knows it.
    const of = { queue: `event:${this.group}`, name: undefined, message };
    const again = (attempt: number) => this.claimed(newId(), read, event, attempt);
    const isOver = () => this.stopping.signal.aborted;
    const end = await counted(this.claims, of, Date.now() + LONGEST, isOver, again);
    if ("came" in end) return end.came;
    const { code, reason } = end.refused;
    if (code !== "interrupted") return false;
    await this.refuse(message, code, reason, true);
    return true;
  }

  private async claimed(known: string, read: Envelope, event: unknown, attempt: number): Promise<boolean> {
    const claim = claimOf(`event:${this.group}:${known}`);
    const isOver = () => this.stopping.signal.aborted;
    const asked = await this.claims.take(claim, Date.now() + LONGEST, isOver);
    if ("refused" in asked) return false;
    if ("frame" in asked) return true;
    if (asked.attempt > ATTEMPTS_MAX) {
      const text = `it was started ${ATTEMPTS_MAX} times, and never ended`;
      await this.refuse(read.message, "interrupted", text, true, asked.attempt - 1);
      return true;
    }
    return this.run(claim, read, event, Math.max(attempt, asked.attempt));
  }

  private async run(claim: Claim, read: Envelope, event: unknown, attempt: number): Promise<boolean> {
    const cancel = new AbortController();
    const over = new AbortController();
    const context = contextOf(read, attempt, cancel.signal);
    const keeping = this.claims.keep(claim, over.signal, () => cancel.abort());
    const until = Date.now() + REFUSED_FOR;
    const pauses = new Pauses(50, 5_000);
    try {
      while (true) {
        try {
          await within(context, () => this.handler(event));
          const done = value(MSGPACK, null);
          const finish = () => this.claims.finish(claim, done, read.callId, undefined, "none");
          return await untilDone(finish, LONGEST, this.bus.link.log);
        } catch (error) {
          this.bus.link.log(`${this.event}: the handler failed: ${stackOf(error)}`);
        }
        if (this.stopping.signal.aborted) {
          await this.claims.release(claim);
          return false;
        }
        if (Date.now() > until) {
          const text = "its handler refused it as often as it was run";
          await this.refuse(read.message, "failed", text, true, attempt);
          await this.claims.release(claim);
          return true;
        }
        await pauses.wait(this.stopping.signal);
      }
    } finally {
      over.abort();
      await keeping;
    }
  }

  private refuse(
    message: Message,
    code: string,
    text: string,
    mayHaveExecuted: boolean,
    attempts?: number,
  ): Promise<void> {
    return this.letters.keep(message, { code, text, mayHaveExecuted, attempts });
  }
}
