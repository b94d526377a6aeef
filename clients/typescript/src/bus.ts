/** A bus: the connections of one process, and all that is done over them. */

import { Redis } from "ioredis";
import { Bundles } from "./bundles.js";
import { Call } from "./call.js";
import { Cancels } from "./cancels.js";
import { type ContentType, MSGPACK, encode } from "./codec.js";
import { current } from "./context.js";
import { Delays, type Later, dueOf } from "./delays.js";
import type { CallError } from "./errors.js";
import { gather } from "./gather.js";
import { Inbox } from "./inbox.js";
import { Link, type Log } from "./link.js";
import type { CallOptions } from "./method.js";
import { Names, newId } from "./names.js";
import type { Progress } from "./progress.js";
import type { Trace } from "./request.js";
import { Scripts } from "./scripts.js";
import type { Service } from "./service.js";
import { Serving } from "./serving.js";
import { StreamCall, type StreamOptions } from "./stream.js";
import { type EventHandler, Subscription } from "./subscription.js";
import { type CancelOutcome, type Ticket, type TicketStatus, cancel, poll, progress, status, wait } from "./ticket.js";

/** Milliseconds that a call is given that says nothing of its time, and an event. */
const TIMEOUT = 5_000;
const EMIT_WITHIN = 10_000;
/**
 * Milliseconds for which Redis may say nothing while it is waited for; then its connection is made anew. Whoever
 * reads the inbox waits for less.
 */
const SILENCE_MAX = 5_000;

/** What may be said of a bus. */
export interface BusOptions {
  /** That of the system: programs of others don't meet it. */
  namespace?: string;
  /** How this program names itself to those it calls. */
  app?: string;
  /** That of the other programs' reply stores. */
  keyPrefix?: string;
  /** The headers of the trace that calls belong to, such as what OpenTelemetry injects. */
  trace?: Trace;
  /** What is told of faults beside calls; a line on stderr unless set. */
  log?: Log;
}

/** Callers, workers and events of one process; made by `Bus.connect`. */
export class Bus {
  readonly names: Names;
  readonly app: string;
  readonly trace: Trace | undefined;
  readonly link: Link;
  readonly redis: Redis;
  readonly scripts: Scripts;
  readonly inbox: Inbox;
  readonly cancels: Cancels;
  readonly bundles = new Bundles();
  readonly delays: Delays;

  private constructor(amqpUrl: string, redisUrl: string, options: BusOptions) {
    const log = options.log ?? ((line) => console.error(`replybus: ${line}`));
    this.names = new Names(options.namespace ?? "", options.keyPrefix ?? "replybus:");
    this.app = options.app ?? "node";
    this.trace = options.trace;
    this.link = new Link(amqpUrl, log);
    const connected = { protocol: 2, socketTimeout: SILENCE_MAX } as const;
    this.redis = new Redis(redisUrl, { maxRetriesPerRequest: 3, ...connected });
    const reader = new Redis(redisUrl, { maxRetriesPerRequest: null, ...connected });
    for (const one of [this.redis, reader]) {
      one.on("error", (error: Error) => log(`Redis can't be reached: ${error.message}`));
    }
    this.scripts = new Scripts(this.redis);
    this.inbox = new Inbox(this.redis, reader, this.names, log);
    this.cancels = new Cancels(this.link, this.names);
    this.delays = new Delays(this.link, this.names, this.scripts, this.app);
  }

  /** Connects to Redis; RabbitMQ is connected to meanwhile, and whenever it is lost. */
  static async connect(amqpUrl: string, redisUrl: string, options: BusOptions = {}): Promise<Bus> {
    const bus = new Bus(amqpUrl, redisUrl, options);
    try {
      await bus.inbox.open();
      return bus;
    } catch (error) {
      await bus.close();
      throw error;
    }
  }

  /** Whether other programs can't be heard, or not be told anything. */
  isDeaf(): boolean {
    return !(this.link.isUp && this.inbox.isRead);
  }

  /** Ends the inbox and the connections. */
  async close(): Promise<void> {
    await this.cancels.close();
    await this.delays.close();
    await this.inbox.close();
    await this.link.close();
    this.redis.disconnect();
  }

  /** A call that changes nothing. */
  query<T = unknown>(queue: string, name: string, args: object, options: CallOptions = {}): Call<T> {
    const method = { queue, name, isCommand: false, timeout: TIMEOUT };
    return new Call<T>(this, method, args as Record<string, unknown>, options);
  }

  /** A call that changes something, and happens once for each idempotency key. */
  command<T = unknown>(queue: string, name: string, args: object, options: CallOptions = {}): Call<T> {
    const method = { queue, name, isCommand: true, timeout: TIMEOUT };
    return new Call<T>(this, method, args as Record<string, unknown>, options);
  }

  /** A call whose answer is a stream. */
  stream<T = unknown>(
    queue: string,
    name: string,
    args: object,
    options: StreamOptions = {},
  ): StreamCall<T> {
    const method = { queue, name, isCommand: false, timeout: TIMEOUT };
    return new StreamCall<T>(this, method, args as Record<string, unknown>, options);
  }

  /**
   * Makes calls at once, and waits for all: values, and the errors of those that failed. Those to one
   * queue whose service takes several in a message leave together.
   */
  gather<T>(calls: Iterable<Call<T>>): Promise<(T | CallError)[]> {
    return gather(this, calls);
  }

  /** The value that is the reply to a ticket, if it is there by now; throws the error that it is. */
  async poll(ticket: Ticket): Promise<{ value: unknown } | undefined> {
    const reply = await poll(this, ticket);
    return reply === undefined ? undefined : { value: reply.body };
  }

  /** The value that is the reply to a ticket, once it is there; throws the error that it is. */
  wait(ticket: Ticket, timeout = 30_000): Promise<unknown> {
    return wait(this, ticket, timeout);
  }

  /**
   * The state of a submitted call now: whether it waits, runs or is done, and how far it is if it is a job that
   * says so.
   */
  status(ticket: Ticket): Promise<TicketStatus> {
    return status(this, ticket);
  }

  /**
   * What a job says of how far it is, from now on until it is done: read it with `for await`. What came between
   * two looks is left out, and the last word may be. It looks four times a second, and every 2 s when there is
   * nothing new, also while Redis can't be reached.
   */
  progress(ticket: Ticket): AsyncGenerator<Progress, void> {
    return progress(this, ticket);
  }

  /** Cancels a submitted call. */
  cancel(ticket: Ticket): Promise<CancelOutcome> {
    return cancel(this, ticket);
  }

  /**
   * Emits an event under its routing key, and returns its id. With `after` or `at` it goes then to the
   * groups that there are; the broker keeps it until then.
   */
  async emit(
    event: string,
    body: unknown,
    options: { exchange?: string; contentType?: ContentType; id?: string } & Later = {},
  ): Promise<string> {
    const exchange = this.names.full(options.exchange ?? "replybus.events");
    const messageId = options.id ?? newId();
    const contentType = options.contentType ?? MSGPACK;
    const due = dueOf(options);
    if (due === undefined) await this.link.declareTopic(exchange);
    const properties = {
      type: event,
      messageId,
      contentType,
      persistent: true,
      timestamp: Math.floor(Date.now() / 1000),
      appId: this.app,
      headers: this.trace?.() ?? current()?.trace ?? {},
    };
    const data = encode(contentType, body);
    if (due === undefined) {
      await this.link.publish(event, data, properties, EMIT_WITHIN, exchange);
    } else {
      await this.delays.publish({ exchange, key: event }, data, properties, due, EMIT_WITHIN);
      this.delays.note(event, { id: messageId, kind: "event", name: event }, due);
    }
    return messageId;
  }

  /** Serves a queue, once it is there: until the serving is shut down. */
  serve(service: Service): Promise<Serving> {
    return Serving.start(this, service);
  }

  /** Has events under a routing key handled, each once by one member of the group. */
  subscribe<T = unknown>(
    group: string,
    event: string,
    handler: EventHandler<T>,
    options: { exchange?: string; concurrency?: number } = {},
  ): Promise<Subscription> {
    const { exchange = "replybus.events", concurrency = 32 } = options;
    return Subscription.start(this, group, event, handler as EventHandler, exchange, concurrency);
  }
}
