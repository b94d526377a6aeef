/** A service: the methods that a queue is served with. */

/** A handler takes the arguments by name. It throws a `HandlerError` to answer with an error of its own. */
// biome-ignore lint/suspicious/noExplicitAny: what arguments are is the contract's word.
export type Handler = (args: any) => Promise<unknown>;
/** The handler of a stream gives its items. */
// biome-ignore lint/suspicious/noExplicitAny: as above.
export type StreamHandler = (args: any) => AsyncIterable<unknown>;

/** A method, and its handler. */
export type Served =
  | { name: string; kind: "query" | "command"; handler: Handler }
  | { name: string; kind: "stream"; handler: StreamHandler };

/**
 * The methods of one queue, which is named without the namespace. What a handler throws besides a
 * `HandlerError` counts as a panic: the work may have been done in part. Arguments come as they
 * travelled: check them, or have a schema do it.
 */
export class Service {
  readonly methods = new Map<string, Served>();
  readonly name: string;

  constructor(
    readonly queue: string,
    name?: string,
    readonly queueType: "classic" | "quorum" = "classic",
  ) {
    this.name = name ?? queue;
  }

  /** Adds a method that changes nothing: it is run as often as it is delivered. */
  query(name: string, handler: Handler): this {
    return this.add({ name, kind: "query", handler });
  }

  /** Adds a method that changes something: it is claimed, and run once for each key. */
  command(name: string, handler: Handler): this {
    return this.add({ name, kind: "command", handler });
  }

  /** Adds a query whose answer is a stream. */
  stream(name: string, handler: StreamHandler): this {
    return this.add({ name, kind: "stream", handler });
  }

  private add(served: Served): this {
    if (this.methods.has(served.name)) {
      throw new TypeError(`${this.queue} has two methods ${served.name}`);
    }
    this.methods.set(served.name, served);
    return this;
  }
}
