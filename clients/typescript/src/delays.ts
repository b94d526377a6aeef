/**
 * Messages that wait on the broker until they are due. A plain queue can't hold messages for different
 * times, because one that expires later holds up those behind it. So there is a queue for each power of
 * two of seconds, and a message goes through those that its delay is made of.
 */

import type { Channel, ChannelModel, Options } from "amqplib";
import { CallFailed } from "./errors.js";
import { type Destination, LEVELS, Way, at, atNone, firstAt, nameOf, patternOf, routingKey } from "./levels.js";
import { type Link, inTime } from "./link.js";
import type { Names } from "./names.js";
import { Pauses } from "./pauses.js";
import type { ScriptName, Scripts } from "./scripts.js";

/** The longest delay: until the same day of the next year. */
const DELAY_MAX = 366 * 24 * 60 * 60_000;
/** For how long the levels are taken to be there, and a destination. */
const LEVELS_TRUSTED_FOR = 60_000;
const DESTINATION_TRUSTED_FOR = 5_000;
const REMEMBERED_MAX = 1024;
/** Messages that are listed for one queue, bytes of a note, and how long it may take. */
const LISTED_MAX = 10_000;
const NOTE_BYTES_MAX = 1024;
const NOTED_WITHIN = 1_000;
const NOTED_AT_ONCE = 256;
const LETTERS_MAX = 100_000;
const LETTERS_BYTES_MAX = 1_073_741_824;

/** When something is to happen that is not to happen now. */
export interface Later {
  /** In so many milliseconds, up to 366 days. */
  after?: number;
  /** At this moment, by this machine's clock. One that has passed is now. */
  at?: Date;
}

/** When it is due, in milliseconds since the Unix epoch; undefined if it is now. */
export function dueOf(later: Later): number | undefined {
  if (later.after !== undefined && later.at !== undefined) {
    throw new TypeError("either `after` or `at`: both say when it is due");
  }
  const left = later.at === undefined ? (later.after ?? 0) : later.at.getTime() - Date.now();
  if (Number.isNaN(left) || left > DELAY_MAX) {
    throw new RangeError(`a delay of ${left} ms: ${DELAY_MAX} are allowed`);
  }
  return left > 0 ? Math.ceil(Date.now() + left) : undefined;
}

/** Publishes messages that are due later, makes the way for them first, and has them listed. */
export class Delays {
  private readonly way: Way;
  /** What is there: on which connection, and until when that is not asked again. */
  private readonly known = new Map<string, { on: ChannelModel; until: number }>();
  private declaring: Promise<unknown> = Promise.resolve();
  private readonly notes = new Set<Promise<unknown>>();

  constructor(
    private readonly link: Link,
    private readonly names: Names,
    private readonly scripts: Scripts,
    private readonly app: string,
  ) {
    this.way = new Way(names.full("replybus.delay"));
  }

  /**
   * Has a message reach its destination when it is due, and waits until the broker has it.
   *
   * @throws CallFailed `unroutable`, `overloaded`, `bad_request` or `denied`, if the broker has it not;
   * `disconnected`, which says whether it may have it.
   */
  async publish(
    to: Destination,
    body: Buffer,
    properties: Options.Publish,
    due: number,
    within: number,
  ): Promise<void> {
    try {
      this.way.check(to);
    } catch (error) {
      throw new CallFailed("bad_request", (error as Error).message, false);
    }
    const until = Date.now() + within;
    await this.make(to, until);
    // Of a message that was delayed before: the broker drops one that comes by a queue again.
    const headers = Object.entries((properties.headers ?? {}) as Record<string, unknown>).filter(
      ([name]) => !/^x-(death|first-death-|last-death-)/.test(name),
    );
    const fresh = { ...properties, headers: Object.fromEntries(headers) };
    const key = routingKey(due - Date.now(), nameOf(to));
    const left = Math.max(1, until - Date.now());
    await this.link.publish(key, body, fresh, left, this.way.entry, true);
  }

  private async make(to: Destination, until: number): Promise<void> {
    const pauses = new Pauses(50, 2_000);
    while (true) {
      const made = this.declaring.then(() => this.makeOnce(to));
      this.declaring = made.catch(() => undefined);
      try {
        await inTime(made, until - Date.now());
        return;
      } catch (error) {
        if (error instanceof CallFailed && error.code !== "timed_out") throw error;
        const { message, code } = error as Error & { code?: unknown };
        if (code === 403) {
          const text = `delays need ${this.way.entry} and what begins so: ${message}`;
          throw new CallFailed("denied", text, false);
        }
        if (code === 406 || code === 404) {
          throw new CallFailed("bad_request", `what delays need can't be declared: ${message}`, false);
        }
        if (Date.now() >= until) {
          throw new CallFailed("disconnected", "what delays need could not be declared in time", false);
        }
        this.link.log(`what delays need is declared again: ${message}`);
      }
      await pauses.wait();
    }
  }

  private async makeOnce(to: Destination): Promise<void> {
    const on = await inTime(this.link.connection(), 10_000);
    const queue = this.way.dueQueue(to);
    if (!this.isKnown(this.way.entry, on)) {
      await declared(on, (channel) => this.levels(channel));
      this.known.set(this.way.entry, { on, until: Date.now() + LEVELS_TRUSTED_FOR });
    }
    if (this.isKnown(queue, on)) return;
    if (to.exchange !== "") await this.link.declareTopic(to.exchange);
    else if (!(await isQueue(on, to.key))) {
      throw new CallFailed("unroutable", `there is no queue ${to.key}`, false);
    }
    await declared(on, (channel) => this.destination(channel, to));
    if (this.known.size >= REMEMBERED_MAX) {
      for (const [name, { until }] of this.known) if (until <= Date.now()) this.known.delete(name);
    }
    this.known.set(queue, { on, until: Date.now() + DESTINATION_TRUSTED_FOR });
  }

  private isKnown(name: string, on: ChannelModel): boolean {
    const known = this.known.get(name);
    return known !== undefined && known.on === on && known.until > Date.now();
  }

  /** From the end to the beginning: what comes in finds its way. */
  private levels(channel: Channel): Promise<unknown>[] {
    const { way } = this;
    const alternateExchange = way.lost;
    const kept = { "x-max-length": LETTERS_MAX, "x-max-length-bytes": LETTERS_BYTES_MAX };
    const asked: Promise<unknown>[] = [
      channel.assertQueue(way.lost, { durable: true, arguments: kept }),
      channel.assertExchange(way.lost, "fanout", { durable: true }),
      channel.bindQueue(way.lost, way.lost, ""),
      channel.assertExchange(way.due, "topic", { durable: true, alternateExchange }),
    ];
    for (let level = 0; level < LEVELS; level++) {
      const name = way.level(level);
      const below = way.below(level);
      asked.push(channel.assertQueue(name, deadLettered(1000 * 2 ** level, below)));
      if (level + 1 === LEVELS) continue;
      // What leaves the level above comes here.
      asked.push(
        channel.assertExchange(name, "topic", { durable: true, alternateExchange }),
        channel.bindQueue(name, name, at(level, true)),
        channel.bindExchange(below, name, at(level, false)),
      );
    }
    // No other exchange takes what this one can't route: its publisher is told.
    asked.push(
      channel.assertExchange(way.first, "topic", { durable: true }),
      channel.bindExchange(way.due, way.first, atNone()),
    );
    for (let level = 0; level < LEVELS; level++) {
      asked.push(channel.bindQueue(way.level(level), way.first, firstAt(level)));
    }
    // Kept aside is what has deaths behind it: the broker may stop all dead-lettering over them.
    const deaths = { "x-match": "any-with-x", "x-death": null };
    asked.push(
      channel.assertExchange(way.fresh, "headers", { durable: true, alternateExchange: way.first }),
      channel.bindQueue(way.lost, way.fresh, "", deaths),
      channel.assertExchange(way.entry, "topic", { durable: true }),
      channel.bindExchange(way.fresh, way.entry, "#"),
    );
    return asked;
  }

  private destination(channel: Channel, to: Destination): Promise<unknown>[] {
    const { way } = this;
    const asked: Promise<unknown>[] = [];
    const emitting = to.exchange === "" ? "" : way.emitting(to);
    if (emitting !== "") {
      // A queue that forgets gets them as well: what reaches no queue is offered again until it does,
      // and an event that nobody subscribes to is to pass unheard.
      asked.push(
        channel.assertQueue(way.unheard, { durable: true, arguments: { "x-message-ttl": 0 } }),
        channel.assertExchange(emitting, "topic", { durable: true }),
        channel.bindQueue(way.unheard, emitting, "#"),
        channel.bindExchange(to.exchange, emitting, "#"),
      );
    }
    const queue = way.dueQueue(to);
    asked.push(
      channel.assertQueue(queue, deadLettered(0, emitting, to.key)),
      channel.bindQueue(queue, way.due, patternOf(to)),
    );
    return asked;
  }

  /**
   * Has a message listed that the broker has: nobody waits for it, and nothing depends on it. `place` is
   * the queue without the namespace, or the routing key of an event.
   */
  note(place: string, note: { id: string; [name: string]: unknown }, due: number): void {
    const record = JSON.stringify({ ...note, due_ms: due, program: this.app });
    if (Buffer.byteLength(record) > NOTE_BYTES_MAX) return;
    this.write("note_delayed", place, [note.id, due, record, LISTED_MAX]);
  }

  /** Takes a call off the list that was cancelled. */
  forget(place: string, callId: string): void {
    this.write("forget_delayed", place, [callId]);
  }

  /** Waits for the notes that are being written. */
  async close(): Promise<void> {
    await inTime(Promise.all(this.notes), NOTED_WITHIN).catch(() => undefined);
  }

  private write(script: ScriptName, place: string, args: (string | number)[]): void {
    if (this.notes.size >= NOTED_AT_ONCE) return;
    const written = this.scripts
      .run(script, this.names.delayed(place), args)
      .catch(() => undefined)
      .finally(() => this.notes.delete(written));
    this.notes.add(written);
  }
}

/** Declares on a channel of its own; throws what the broker says, with its code. */
async function declared(on: ChannelModel, declare: (channel: Channel) => Promise<unknown>[]): Promise<void> {
  const channel = await on.createChannel();
  let said: Error | undefined;
  channel.on("error", (error: Error) => {
    said = error;
  });
  try {
    const ends = await Promise.allSettled(declare(channel));
    const failed = ends.find((end) => end.status === "rejected");
    if (failed !== undefined) throw said ?? failed.reason;
  } finally {
    await channel.close().catch(() => undefined);
  }
}

async function isQueue(on: ChannelModel, queue: string): Promise<boolean> {
  try {
    await declared(on, (channel) => [channel.checkQueue(queue)]);
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code === 404) return false;
    throw error;
  }
}

/** A queue whose messages move on after so long, each confirmed by the next queue before that. */
function deadLettered(ttl: number, exchange: string, key?: string): Options.AssertQueue {
  const last = key === undefined ? {} : { "x-dead-letter-routing-key": key };
  return {
    durable: true,
    arguments: {
      "x-queue-type": "quorum",
      "x-message-ttl": ttl,
      "x-dead-letter-exchange": exchange,
      "x-dead-letter-strategy": "at-least-once",
      "x-overflow": "reject-publish",
      ...last,
    },
  };
}
