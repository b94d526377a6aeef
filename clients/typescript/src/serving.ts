/** A service while it is served. */

import type { Channel, ConsumeMessage } from "amqplib";
import type { Bus } from "./bus.js";
import { Claims, INBOX_ENTRIES, REPLY_TTL } from "./claims.js";
import { ControlLine } from "./control.js";
import { DeadLetters, returns } from "./dead_letters.js";
import { GivenBack, takeDelivery } from "./deliveries.js";
import type { Envelope } from "./envelope.js";
import { Held } from "./held.js";
import { type Consuming, deferred } from "./link.js";
import { messageOf } from "./message.js";
import { type Names, newId } from "./names.js";
import { Places } from "./places.js";
import type { Producer } from "./producer.js";
import { Running } from "./running.js";
import type { Service } from "./service.js";

/** Handlers that run at once, and calls that were given up which are looked for. */
const CONCURRENCY = 32;
const GIVEN_UP_MAX = 20_000;

/** A service that is served until it is shut down; made by `Bus.serve`. */
export class Serving implements Consuming {
  readonly instance = newId();
  readonly prefetch = 128;
  readonly claims: Claims;
  readonly deadLetters: DeadLetters;
  readonly held = new Held();
  readonly places = new Places(CONCURRENCY);
  readonly producers = new Map<string, Producer>();
  private readonly running: Running;
  private readonly control: ControlLine;
  private readonly stopping = new AbortController();
  private readonly gone = new AbortController();
  private numbers = Math.floor(Math.random() * 0x7fff_ffff);
  private taking: Promise<void> = Promise.resolve();
  private beside: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly bus: Bus,
    readonly service: Service,
  ) {
    this.claims = new Claims(bus.scripts, bus.names, bus.link.log);
    this.deadLetters = new DeadLetters(bus.link, bus.names, service.queue);
    this.running = new Running(bus.link.log);
    this.control = new ControlLine(this);
  }

  /** Serves it, and returns once it takes messages. */
  static async start(bus: Bus, service: Service): Promise<Serving> {
    const serving = new Serving(bus, service);
    const consumed = deferred<void>();
    const { gone, stopping, control } = serving;
    const hearing = bus.link.consume(control, gone.signal, () => undefined);
    serving.taking = bus.link.consume(serving, stopping.signal, consumed.resolve);
    await consumed.promise;
    serving.beside = Promise.all([hearing, control.announce(gone.signal)]);
    return serving;
  }

  /** Takes no more, ends what runs, and gives back what was not begun. */
  async shutdown(): Promise<void> {
    this.stopping.abort();
    await this.taking;
    await Promise.all([...this.producers.values()].map((producer) => producer.stop()));
    this.gone.abort();
    await this.beside;
    await this.control.withdraw();
  }

  get names(): Names {
    return this.bus.names;
  }

  get queue(): string {
    return this.names.full(this.service.queue);
  }

  get controlQueue(): string {
    return `${this.names.control}.${this.instance}`;
  }

  get isStopping(): boolean {
    return this.stopping.signal.aborted;
  }

  get inFlight(): number {
    return this.running.count;
  }

  /** A number that no other stream of this instance has. */
  nextProducer(): number {
    this.numbers = (this.numbers + 1) % 0x1_0000_0000;
    return this.numbers;
  }

  /** Stores a reply that ends no claim: in the inbox, or else under the call's own key. */
  async reply(read: Envelope, frame: Buffer): Promise<void> {
    const { redis } = this.bus;
    if (read.inbox !== undefined) {
      const entry = ["MAXLEN", "~", INBOX_ENTRIES, "*", "id", read.callId, "frame", frame];
      if ((await redis.call("XADD", [read.inbox, "NOMKSTREAM", ...entry])) !== null) return;
    }
    await redis.set(this.names.response(read.callId), frame, "PX", REPLY_TTL, "NX");
  }

  async declare(channel: Channel): Promise<void> {
    const { queueType } = this.service;
    const { deadLetters } = this;
    const args = { "x-queue-type": queueType, ...returns(queueType) };
    await channel.assertQueue(this.queue, { durable: true, arguments: args });
    await channel.assertQueue(deadLetters.queue, { durable: true, arguments: deadLetters.args(queueType) });
  }

  /** Callers were told that nobody will run these: they saw that nobody consumed the queue. */
  async begin(): Promise<void> {
    const key = this.names.givenUp(this.service.queue);
    const found = (await this.bus.scripts.run("given_up", [key], [GIVEN_UP_MAX])) as [Buffer, number][];
    for (const [callId, left] of found) this.held.cancel(callId.toString(), Number(left));
  }

  take(channel: Channel, delivered: ConsumeMessage): void {
    this.running.add(channel, delivered, async () => {
      try {
        await takeDelivery(this, messageOf(delivered));
        return true;
      } catch (error) {
        if (error instanceof GivenBack) return false;
        throw error;
      }
    });
  }

  end(): Promise<void> {
    return this.running.drain();
  }
}
