/** A service: the methods that a queue is served with. */

import { PARTITIONS_MAX } from "./partition_line.js";
import { HELD_MAX, type Policy, type Retry, policyOf } from "./retries.js";

/** The most time that a job may be given: a week. */
const JOB_MAX = 7 * 24 * 60 * 60_000;

/** A handler takes the arguments by name. It throws a `HandlerError` to answer with an error of its own. */
// biome-ignore lint/suspicious/noExplicitAny: what arguments are is the contract's word.
export type Handler = (args: any) => Promise<unknown>;
/** The handler of a stream gives its items. */
// biome-ignore lint/suspicious/noExplicitAny: as above.
export type StreamHandler = (args: any) => AsyncIterable<unknown>;

/** What may be said of a query. */
export interface QueryOptions {
  /**
   * The argument that is a stream, which its caller sends: an async iterable, which throws a `CallFailed`
   * if it breaks off.
   */
  fed?: string;
}

/** What may be said of a command. */
export interface CommandOptions extends QueryOptions {
  /** It is run again after a pause if its handler throws `RetryLater`. */
  retry?: Retry;
  /**
   * It is not claimed, and run as often as it is delivered: its handler writes, in the transaction of its
   * work, that it was done, under `current().recordName`.
   */
  ownRecord?: boolean;
  /**
   * It takes long, up to so many milliseconds, and a week at most. Its message waits with the broker while it
   * runs, another worker begins it anew when this one has died, and its handler says by
   * `current().progress(..)` how far it is. When the time is over it is told, as if it had been cancelled.
   */
  job?: number;
}

/** A method, and its handler. */
export type Served =
  | { name: string; kind: "query"; handler: Handler; fed?: string | undefined }
  | {
      name: string;
      kind: "command";
      handler: Handler;
      retry?: Policy | undefined;
      ownRecord?: boolean | undefined;
      job?: number | undefined;
      fed?: string | undefined;
    }
  | { name: string; kind: "stream"; handler: StreamHandler };

/** True of a command of which there is a record in Redis. */
export function isClaimed(served: Served | undefined): boolean {
  return served?.kind === "command" && !served.ownRecord;
}

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
    /**
     * Its calls are divided among as many queues by their key, which callers know from the contract, and
     * those of one key are run one after the other, in their order.
     */
    readonly partitions?: number,
  ) {
    this.name = name ?? queue;
    const isCount = partitions === undefined || (Number.isInteger(partitions) && partitions >= 1);
    if (!isCount || (partitions ?? 1) > PARTITIONS_MAX) {
      throw new RangeError(`${partitions} partitions; 1 to ${PARTITIONS_MAX} are allowed`);
    }
  }

  /** Adds a method that changes nothing: it is run as often as it is delivered. */
  query(name: string, handler: Handler, options: QueryOptions = {}): this {
    return this.add({ name, kind: "query", handler, fed: options.fed });
  }

  /** Adds a method that changes something: it is claimed, and run once for each key. */
  command(name: string, handler: Handler, options: CommandOptions = {}): this {
    const { retry, ownRecord, fed, job } = options;
    if (job !== undefined && !(job > 0 && job <= JOB_MAX)) {
      throw new RangeError(`${this.queue}.${name}: a job of ${job} ms: up to ${JOB_MAX} are allowed`);
    }
    if (job !== undefined && (retry || ownRecord || fed !== undefined || this.partitions !== undefined)) {
      const text = "a job is looked after by its record, and begun anew when its worker dies";
      throw new TypeError(`${this.queue}.${name}: ${text}: it has no retry, ownRecord, fed or partitions`);
    }
    if (fed !== undefined && retry !== undefined) {
      throw new TypeError(`${this.queue}.${name}: a stream can't be sent again: leave \`retry\` or \`fed\``);
    }
    const policy = retry && policyOf(retry);
    if (this.partitions !== undefined && (policy?.maxDelay ?? 0) > HELD_MAX) {
      const text = "with partitions, what is put off holds up what comes after it";
      throw new RangeError(`${this.queue}.${name}: ${text}: a maxDelay of ${HELD_MAX} ms is the most`);
    }
    return this.add({ name, kind: "command", handler, retry: policy, ownRecord, job, fed });
  }

  /** Whether one of its methods takes long. */
  get hasJobs(): boolean {
    return [...this.methods.values()].some((served) => served.kind === "command" && served.job !== undefined);
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
