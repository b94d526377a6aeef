/** A connection to RabbitMQ that is always being kept up, and what is published over it. */

import * as amqp from "amqplib";
import { CallFailed } from "./errors.js";
import { readSafely } from "./frames.js";
import { Pauses } from "./pauses.js";

/** Milliseconds that a connection may take, and pauses between attempts. */
const CONNECT_WITHIN = 10_000;
const BESIDE_WITHIN = 5_000;
const PAUSE_MIN = 50;
const PAUSE_MAX = 5_000;
/** Milliseconds after which a connection that is lost was a good one: the pauses begin anew. */
const STEADY_AFTER = 5_000;

/** What is consumed, and what is done at each step of it. */
export interface Consuming {
  queue: string;
  prefetch: number;
  /** Has all be there that must be. */
  declare(channel: amqp.Channel): Promise<void>;
  /** Called once the queue is consumed: no message is handed on before it is done. */
  begin?(): Promise<void>;
  take(channel: amqp.Channel, message: amqp.ConsumeMessage): void;
  /** Called when no more is taken, before what was not settled is given back. */
  end?(): Promise<void>;
}

/** What the broker closes a channel over that it is to publish on. */
const REFUSALS: Record<number, string> = { 403: "denied", 404: "unroutable", 406: "bad_request" };

/** A channel with confirms, and the publishes on it of which nothing was said. */
interface Confirming {
  channel: amqp.ConfirmChannel;
  undecided: number;
  /** Why the broker closed it. */
  refusal?: Error & { code?: number };
}

/** Says in one line what went wrong beside any call. */
export type Log = (line: string) => void;

export class Link {
  private model: amqp.ChannelModel | undefined;
  private confirming: Promise<Confirming> | undefined;
  private readonly declared = new Set<string>();
  private readonly closing = new AbortController();
  private readonly keeping: Promise<void>;
  private hasConnection = false;
  private up: PromiseWithResolvers<amqp.ChannelModel> = deferred();

  constructor(
    private readonly url: string,
    readonly log: Log,
  ) {
    this.keeping = this.keep();
  }

  /** Ends the connection. */
  async close(): Promise<void> {
    this.closing.abort();
    await this.model?.close().catch(() => undefined);
    await this.keeping;
  }

  private async keep(): Promise<void> {
    const pauses = new Pauses(PAUSE_MIN, PAUSE_MAX);
    while (!this.closing.signal.aborted) {
      try {
        const model = await amqp.connect(this.url, { timeout: CONNECT_WITHIN });
        const closed = new Promise<void>((resolve) => model.on("close", () => resolve()));
        model.on("error", (error) => this.log(`the connection to RabbitMQ: ${error.message}`));
        readSafely(model.connection);
        this.model = model;
        const since = Date.now();
        this.up.resolve(model);
        this.hasConnection = true;
        if (this.closing.signal.aborted) await model.close().catch(() => undefined);
        await closed;
        // What ends it again and again is not to do so as fast as it can.
        if (Date.now() - since > STEADY_AFTER) pauses.reset();
        this.hasConnection = false;
        this.up = deferred();
        this.declared.clear();
        this.confirming = undefined;
      } catch (error) {
        this.log(`RabbitMQ can't be reached: ${(error as Error).message}`);
      }
      await pauses.wait(this.closing.signal);
    }
  }

  /** Whether there is a connection. */
  get isUp(): boolean {
    return this.hasConnection;
  }

  /** The connection, once there is one. */
  connection(): Promise<amqp.ChannelModel> {
    return this.up.promise;
  }

  private channel(): Promise<Confirming> {
    this.confirming ??= this.open();
    return this.confirming;
  }

  private async open(): Promise<Confirming> {
    try {
      const channel = await (await this.connection()).createConfirmChannel();
      // Each publish that waits listens to it.
      channel.setMaxListeners(0);
      const confirming: Confirming = { channel, undecided: 0 };
      channel.on("error", (error) => {
        confirming.refusal = error;
        // One that was declared may be gone.
        this.declared.clear();
        this.log(`a channel was closed: ${error.message}`);
      });
      channel.on("close", () => {
        this.confirming = undefined;
      });
      return confirming;
    } catch (error) {
      this.confirming = undefined;
      throw error;
    }
  }

  /**
   * Publishes a message, and waits until the broker has it.
   *
   * @throws CallFailed `unroutable`, `overloaded`, `denied` or `bad_request`, if the broker has it not; `disconnected`,
   * or `cancelled` once `signal` has fired, which say whether it may have it.
   */
  async publish(
    key: string,
    body: Buffer,
    properties: amqp.Options.Publish,
    within: number,
    exchange = "",
    mandatory = exchange === "",
    signal?: AbortSignal,
  ): Promise<void> {
    const until = Date.now() + within;
    const pauses = new Pauses(PAUSE_MIN, 1_000);
    while (true) {
      const open = inTime(this.channel(), until - Date.now()).catch(() => undefined);
      const confirming = await unlessGivenUp(open, signal, false);
      // It may have fired since.
      if (signal?.aborted) throw givenUp(false);
      if (confirming !== undefined) {
        const name = properties.messageId ?? properties.correlationId;
        const confirmed = published(confirming, exchange, key, body, { ...properties, mandatory }, name, until);
        await unlessGivenUp(confirmed, signal, true);
        return;
      }
      if (Date.now() >= until) {
        throw new CallFailed("disconnected", "RabbitMQ can't be reached", false);
      }
      await pauses.wait(this.closing.signal);
    }
  }

  /**
   * Has a topic exchange be there; one that is there otherwise is used as it is.
   *
   * @throws CallFailed `disconnected`: nothing was sent.
   */
  async declareTopic(exchange: string): Promise<void> {
    if (this.declared.has(exchange)) return;
    const channel = await this.beside();
    await channel
      .assertExchange(exchange, "topic", { durable: true })
      .then(() => channel.close())
      .catch(() => undefined);
    this.declared.add(exchange);
  }

  /** Whether there is a queue of that name. */
  async isQueue(queue: string): Promise<boolean> {
    while (true) {
      const channel = await (await this.connection()).createChannel();
      let code: unknown;
      channel.on("error", (error: Error & { code?: unknown }) => {
        code = error.code;
      });
      try {
        await channel.checkQueue(queue);
        await channel.close();
        return true;
      } catch (error) {
        if (code === 404 || (error as { code?: unknown }).code === 404) return false;
        this.log(`looking for a queue again: ${(error as Error).message}`);
        await new Pauses(PAUSE_MIN, PAUSE_MAX).wait(this.closing.signal);
      }
    }
  }

  /** Publishes to a topic exchange of whoever listens. It may be lost. */
  async tell(
    exchange: string,
    key: string,
    body: Buffer,
    properties: amqp.Options.Publish,
  ): Promise<void> {
    await this.declareTopic(exchange);
    const channel = await this.beside();
    channel.publish(exchange, key, body, properties);
    await channel.close();
  }

  /** A channel for what is done in a moment. */
  private async beside(): Promise<amqp.Channel> {
    try {
      const open = this.connection().then((connection) => connection.createChannel());
      const channel = await inTime(open, BESIDE_WITHIN);
      channel.on("error", () => undefined);
      return channel;
    } catch {
      throw new CallFailed("disconnected", "RabbitMQ can't be reached", false);
    }
  }

  /** Takes messages of a queue until `stop` fires, whatever is lost meanwhile. Calls `ready` once. */
  async consume(consuming: Consuming, stop: AbortSignal, ready: () => void): Promise<void> {
    const pauses = new Pauses(PAUSE_MIN, PAUSE_MAX);
    while (!stop.aborted && !this.closing.signal.aborted) {
      try {
        const connection = await Promise.race([this.connection(), aborted(stop)]);
        if (connection === undefined) return;
        await this.take(await connection.createChannel(), consuming, stop, ready);
      } catch (error) {
        this.log(`consuming ${consuming.queue} again: ${(error as Error).message}`);
      }
      if (!stop.aborted) await pauses.wait(stop);
    }
  }

  private async take(
    channel: amqp.Channel,
    consuming: Consuming,
    stop: AbortSignal,
    ready: () => void,
  ): Promise<void> {
    const gone = deferred<void>();
    channel.on("error", (error) => this.log(`${consuming.queue}: ${error.message}`));
    channel.on("close", () => gone.resolve());
    const stopped = () => gone.resolve();
    stop.addEventListener("abort", stopped);
    try {
      await consuming.declare(channel);
      await channel.prefetch(consuming.prefetch);
      let held: amqp.ConsumeMessage[] | undefined = [];
      const { consumerTag } = await channel.consume(consuming.queue, (message) => {
        // The broker has taken the consumer away: its queue is gone.
        if (message === null) gone.resolve();
        else if (held !== undefined) held.push(message);
        else consuming.take(channel, message);
      });
      await consuming.begin?.();
      const first = held;
      held = undefined;
      for (const message of first) consuming.take(channel, message);
      ready();
      await gone.promise;
      if (stop.aborted) {
        await channel.cancel(consumerTag).catch(() => undefined);
        await consuming.end?.();
      }
    } finally {
      stop.removeEventListener("abort", stopped);
      await channel.close().catch(() => undefined);
    }
  }
}

/** Waits until a signal fires. */
function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
}

/** What a publish comes to that was neither confirmed nor returned. */
function lost({ refusal, undecided }: Confirming): CallFailed {
  const code = REFUSALS[refusal?.code ?? 0];
  // It is what the broker closed the channel over: all before it was confirmed.
  if (code !== undefined && undecided === 1) return new CallFailed(code, refusal?.message ?? "", false);
  return new CallFailed("disconnected", "the broker did not say that it has the message", true);
}

async function published(
  confirming: Confirming,
  exchange: string,
  key: string,
  body: Buffer,
  properties: amqp.Options.Publish,
  name: string | undefined,
  until: number,
): Promise<void> {
  const { channel } = confirming;
  let returned = false;
  // What can't be routed is returned, and confirmed after that.
  const onReturn = (message: amqp.Message) => {
    const { messageId, correlationId } = message.properties;
    returned ||= (messageId ?? correlationId) === name;
  };
  const closed = deferred<never>();
  closed.promise.catch(() => undefined);
  const onClose = () => closed.reject(lost(confirming));
  channel.on("return", onReturn);
  channel.on("close", onClose);
  try {
    const confirmed = new Promise<void>((resolve, reject) => {
      channel.publish(exchange, key, body, properties, (error) => {
        const full = new CallFailed("overloaded", `the queue ${key} is full`, false);
        const isFull = /nack/i.test(String((error as Error | null)?.message));
        // A channel that is lost fails all that waits on it, in other words than a refusal.
        if (error !== null && error !== undefined && !isFull) return onClose();
        confirming.undecided -= 1;
        if (isFull) reject(full);
        else resolve();
      });
      // It was written.
      confirming.undecided += 1;
    });
    await inTime(Promise.race([confirmed, closed.promise]), until - Date.now());
  } catch (error) {
    if (error instanceof CallFailed) throw error;
    // Properties that can't be encoded were not sent.
    const unsent = error instanceof RangeError || error instanceof TypeError;
    throw new CallFailed(unsent ? "bad_request" : "disconnected", String(error), !unsent);
  } finally {
    channel.off("return", onReturn);
    channel.off("close", onClose);
  }
  if (returned) throw new CallFailed("unroutable", `there is no queue ${key}`, false);
}

/** What is resolved from outside. */
export interface PromiseWithResolvers<T> {
  promise: Promise<T>;
  resolve(value: T | PromiseLike<T>): void;
  reject(reason: unknown): void;
}

export function deferred<T>(): PromiseWithResolvers<T> {
  let resolve!: (value: T | PromiseLike<T>) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** What a call ends with whose caller does not want it any more. */
export function givenUp(mayHaveExecuted: boolean): CallFailed {
  return new CallFailed("cancelled", "its caller gave it up", mayHaveExecuted);
}

/** Waits, until a signal fires; then it throws a `CallFailed` that says `cancelled`. */
async function unlessGivenUp<T>(awaited: Promise<T>, signal: AbortSignal | undefined, mayHaveExecuted: boolean): Promise<T> {
  if (signal === undefined) return awaited;
  const fired = deferred<never>();
  const giveUp = () => fired.reject(givenUp(mayHaveExecuted));
  signal.addEventListener("abort", giveUp);
  if (signal.aborted) giveUp();
  try {
    return await Promise.race([fired.promise, awaited]);
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}

/** Waits so many milliseconds; then it throws a `CallFailed` that says `timed_out`. */
export async function inTime<T>(awaited: Promise<T>, within: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const failed = new CallFailed("timed_out", "not in time", true);
    timer = setTimeout(() => reject(failed), Math.min(Math.max(0, within), 0x7fff_ffff));
  });
  try {
    return await Promise.race([awaited, late]);
  } finally {
    clearTimeout(timer);
  }
}
