/** A service while it is served. */

import { once, setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Channel, ConsumeMessage } from "amqplib";
import type { Bus } from "./bus.js";
import { Claims, REPLY_TTL } from "./claims.js";
import { ControlLine } from "./control.js";
import { DeadLetters, returns } from "./dead_letters.js";
import { takeDelivery } from "./deliveries.js";
import type { Envelope } from "./envelope.js";
import { CallFailed, stackOf } from "./errors.js";
import type { Fed } from "./feeds.js";
import { Held } from "./held.js";
import { INBOX_ENTRIES } from "./inbox.js";
import { Jobs } from "./jobs.js";
import { type Consuming, deferred } from "./link.js";
import { Members } from "./members.js";
import { type Message, messageOf } from "./message.js";
import { type Names, newId } from "./names.js";
import { GivenBack } from "./outcome.js";
import { Partition } from "./partitions.js";
import { Places } from "./places.js";
import type { Producer } from "./producer.js";
import { AGAIN_AFTER, DRAIN_WITHIN, Running } from "./running.js";
import type { Service } from "./service.js";

/** Handlers that run at once, and calls that were given up which are looked for. */
const CONCURRENCY = 32;
const GIVEN_UP_MAX = 20_000;
/** Milliseconds that jobs have to end that are told to. */
const TOLD_WITHIN = 1_000;

/** A service that is served until it is shut down; made by `Bus.serve`. */
export class Serving implements Consuming {
  readonly instance = newId();
  readonly prefetch = 128;
  readonly claims: Claims;
  readonly deadLetters: DeadLetters;
  readonly held = new Held();
  readonly places = new Places(CONCURRENCY);
  readonly fed = new Set<Fed>();
  readonly producers = new Map<string, Producer>();
  readonly jobs: Jobs;
  /** The time of its handlers to end is up, and deliveries are given back. */
  isLeaving = false;
  private drainWithin = DRAIN_WITHIN;
  private readonly running: Running;
  readonly control: ControlLine;
  private readonly stopping = new AbortController();
  private readonly gone = new AbortController();
  private partitions: Partition[] = [];
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
    this.jobs = new Jobs(this);
  }

  /** Serves it, and returns once it takes messages. */
  static async start(bus: Bus, service: Service): Promise<Serving> {
    const serving = new Serving(bus, service);
    const consumed = deferred<void>();
    const { gone, stopping, control } = serving;
    if (service.partitions !== undefined) await serving.refuseWhole();
    const hearing = bus.link.consume(control, gone.signal, () => undefined);
    if (service.partitions !== undefined) {
      await serving.startPartitions(service.partitions, hearing);
      return serving;
    }
    serving.taking = bus.link.consume(serving, stopping.signal, consumed.resolve);
    await consumed.promise;
    serving.beside = Promise.all([hearing, control.announce(gone.signal)]);
    return serving;
  }

  /** What is in a queue that was served as a whole would have no order with the partitions. */
  private async refuseWhole(): Promise<void> {
    if (!(await this.bus.link.isQueue(this.queue))) return;
    throw new TypeError(
      `queue ${this.queue} exists, and the service has partitions: what comes to it would be out of order. ` +
        "Give it another queue, or delete this one when it is empty",
    );
  }

  private async startPartitions(count: number, hearing: Promise<void>): Promise<void> {
    const { gone, stopping, control } = this;
    const members = new Members(this, count, () => {
      for (const partition of this.partitions) partition.notify();
    });
    const consumed = Array.from({ length: count }, () => deferred<void>());
    const { signal } = stopping;
    // Each partition that pauses listens to it.
    setMaxListeners(0, signal);
    const stopped = once(signal, "abort").then(() => {
      for (const partition of this.partitions) partition.notify();
      return undefined;
    });
    this.partitions = consumed.map(
      ({ resolve }, number) => new Partition(this, number, members, signal, resolve, stopped),
    );
    this.taking = Promise.all(this.partitions.map((partition) => partition.run())).then(() => undefined);
    await Promise.all(consumed.map(({ promise }) => promise));
    this.beside = Promise.all([hearing, control.announce(gone.signal), members.watch(gone.signal)]);
  }

  /**
   * Takes no more, ends what runs, and gives back what was not begun.
   *
   * After `within` milliseconds what still runs is given back. A job is told then, as one that is cancelled:
   * if it throws `RetryLater` another worker begins it anew; otherwise it goes on for as long as the program
   * does, and what it comes to is recorded.
   */
  async shutdown(within = DRAIN_WITHIN): Promise<void> {
    this.drainWithin = within;
    this.stopping.abort();
    await this.taking;
    const failed = new CallFailed("interrupted", "the service stops", true);
    await Promise.all([...this.producers.values()].map((producer) => producer.stop(failed)));
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
    const ofPartitions = this.partitions.reduce((sum, one) => sum + one.running, 0);
    return this.running.count + this.jobs.handedBack + ofPartitions;
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
    await this.declareQueue(channel, this.queue, {});
  }

  /** Has the queue of a partition be there. */
  async declarePartition(channel: Channel, queue: string): Promise<void> {
    await this.declareQueue(channel, queue, { "x-single-active-consumer": true });
  }

  private async declareQueue(channel: Channel, queue: string, more: object): Promise<void> {
    const { queueType } = this.service;
    const { deadLetters } = this;
    const args = { "x-queue-type": queueType, ...returns(queueType), ...more };
    await channel.assertQueue(queue, { durable: true, arguments: args });
    await channel.assertQueue(deadLetters.queue, { durable: true, arguments: deadLetters.args(queueType) });
  }

  /** Callers were told that nobody will run these: they saw that nobody consumed the queue. */
  async begin(): Promise<void> {
    const key = this.names.givenUp(this.service.queue);
    const found = (await this.bus.scripts.run("given_up", [key], [GIVEN_UP_MAX])) as [Buffer, number][];
    for (const [callId, left] of found) this.held.cancel(callId.toString(), Number(left));
  }

  take(channel: Channel, delivered: ConsumeMessage): void {
    this.running.add(channel, delivered, () => this.takeToEnd(messageOf(delivered)));
  }

  /** Takes a message to its end; false if it is to be given back. */
  async taken(message: Message): Promise<boolean> {
    try {
      return await this.takeToEnd(message);
    } catch (error) {
      this.bus.link.log(`a message is given back: ${stackOf(error)}`);
      // Not at once: it would come again as soon.
      await sleep(AGAIN_AFTER);
      return false;
    }
  }

  private async takeToEnd(message: Message): Promise<boolean> {
    try {
      await this.control.beSeen();
      await takeDelivery(this, message);
      return true;
    } catch (error) {
      if (error instanceof GivenBack) return false;
      throw error;
    }
  }

  async end(): Promise<void> {
    await this.running.drain(this.drainWithin, this.jobs.drained());
    this.isLeaving = true;
    this.jobs.leaveAll();
    await this.running.drain(TOLD_WITHIN, this.jobs.drained());
  }
}
