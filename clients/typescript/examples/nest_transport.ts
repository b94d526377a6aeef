/**
 * NestJS on replybus: a client proxy by which its callers reach services in any language, and a
 * transport by which its controllers are such a service. A pattern of a message names a queue and a
 * method of it, `{ queue: "cart.requests", command: "add" }`, or `query` for what changes nothing; that
 * of an event is its routing key.
 */

import { ClientProxy, type CustomTransportStrategy, type ReadPacket, Server, type WritePacket } from "@nestjs/microservices";
import { Bus, type BusOptions, HandlerError, Service } from "replybus";
import { lastValueFrom } from "rxjs";

/** Where the servers are, and what the bus is told. */
export interface Servers extends BusOptions {
  amqp: string;
  redis: string;
}

/** What a pattern names. */
type Pattern = { queue: string; command: string } | { queue: string; query: string };

/** What callers in NestJS inject: `client.send({ queue, command }, args)`, `client.emit(event, body)`. */
export class ReplybusClient extends ClientProxy {
  private bus: Promise<Bus> | undefined;

  constructor(private readonly servers: Servers) {
    super();
  }

  connect(): Promise<Bus> {
    this.bus ??= Bus.connect(this.servers.amqp, this.servers.redis, this.servers);
    return this.bus;
  }

  async close(): Promise<void> {
    await (await this.bus)?.close();
  }

  unwrap<T>(): T {
    return this.bus as T;
  }

  /** The observable fails with a `HandlerError` or a `CallFailed`; left, it cancels the call. */
  protected publish(packet: ReadPacket, told: (answer: WritePacket) => void): () => void {
    const abort = new AbortController();
    this.call(packet, abort.signal).then(
      (response) => told({ response, isDisposed: true }),
      (err: unknown) => told({ err, isDisposed: true }),
    );
    return () => abort.abort();
  }

  private async call(packet: ReadPacket, signal: AbortSignal): Promise<unknown> {
    const bus = await this.connect();
    const of = packet.pattern as Pattern;
    return "query" in of
      ? bus.query(of.queue, of.query, packet.data, { signal })
      : bus.command(of.queue, of.command, packet.data, { signal });
  }

  protected async dispatchEvent<T>(packet: ReadPacket): Promise<T> {
    return (await (await this.connect()).emit(packet.pattern as string, packet.data)) as T;
  }
}

/** What `createMicroservice({ strategy })` takes. Event handlers are members of `group`. */
export class ReplybusServer extends Server implements CustomTransportStrategy {
  private bus: Bus | undefined;
  private readonly ends: (() => Promise<void>)[] = [];

  constructor(
    private readonly servers: Servers,
    private readonly group: string,
  ) {
    super();
  }

  async listen(ready: () => void): Promise<void> {
    const bus = await Bus.connect(this.servers.amqp, this.servers.redis, this.servers);
    this.bus = bus;
    const services = new Map<string, Service>();
    for (const [pattern, handler] of this.messageHandlers) {
      const answer = async (data: unknown) =>
        lastValueFrom(this.transformToObservable(await handler(data, {})), { defaultValue: null });
      if (handler.isEventHandler) {
        const subscription = await bus.subscribe(`${this.group}.${pattern}`, pattern, async (event) => {
          await answer(event);
        });
        this.ends.push(() => subscription.shutdown());
      } else this.add(services, JSON.parse(pattern) as Pattern, answer);
    }
    for (const service of services.values()) {
      const serving = await bus.serve(service);
      this.ends.push(() => serving.shutdown());
    }
    ready();
  }

  private add(
    services: Map<string, Service>,
    of: Pattern,
    answer: (data: unknown) => Promise<unknown>,
  ): void {
    const service = services.get(of.queue) ?? new Service(of.queue);
    services.set(of.queue, service);
    // What a controller throws as an RpcException is its own error.
    const handler = (data: unknown) =>
      answer(data).catch((error: unknown) => {
        throw new HandlerError(error);
      });
    if ("query" in of) service.query(of.query, handler);
    else service.command(of.command, handler);
  }

  async close(): Promise<void> {
    for (const end of this.ends) await end();
    await this.bus?.close();
  }

  on(): void {}

  unwrap<T>(): T {
    return this.bus as T;
  }
}
