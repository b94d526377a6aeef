/**
 * The way of a delayed message through queues that each hold for a power of two of seconds: names,
 * routing keys and the patterns that select them. No broker here.
 */

/** Queues on the way: of 1, 2, 4 seconds and so on to half a year. */
export const LEVELS = 25;
/** Bytes of an AMQP short string. */
const NAME_BYTES = 255;

/**
 * A word for each level, `1` where the message waits, the longest first; then where it goes. A part of
 * a second counts as a whole, so that nothing is early.
 */
export function routingKey(left: number, destination: string): string {
  const seconds = Math.min(Math.max(0, Math.ceil(left / 1000)), 2 ** LEVELS - 1);
  return [...seconds.toString(2).padStart(LEVELS, "0"), destination].join(".");
}

/** Selects what waits at this level first. */
export function firstAt(level: number): string {
  return `${"0.".repeat(above(level))}1.#`;
}

/** Selects what waits nowhere. */
export function atNone(): string {
  return `${"0.".repeat(LEVELS)}#`;
}

/** Selects what waits at this level, or does not, of what has passed those above it. */
export function at(level: number, waits: boolean): string {
  return `${"*.".repeat(above(level))}${waits ? 1 : 0}.#`;
}

function above(level: number): number {
  return LEVELS - level - 1;
}

/** Where a message goes when it is due. */
export interface Destination {
  /** Empty for the default exchange. */
  exchange: string;
  /** The queue, or the routing key. */
  key: string;
}

/** Both in one: no queue is called as an exchange's is, which has a colon. */
export function nameOf(to: Destination): string {
  return to.exchange === "" ? to.key : `${to.exchange}:${to.key}`;
}

/** Selects what is due and goes there. */
export function patternOf(to: Destination): string {
  return `${"*.".repeat(LEVELS)}${nameOf(to)}`;
}

/** The names of the queues and exchanges of one namespace. */
export class Way {
  /** The exchange behind that of the entry, which knows what has waited before. */
  readonly fresh: string;
  /** The exchange behind that, which leads to the first level at which a message waits. */
  readonly first: string;
  /** The exchange behind the last level. */
  readonly due: string;
  /** The exchange and the queue of messages that no binding leads on. */
  readonly lost: string;
  /** The queue that forgets what it is given. */
  readonly unheard: string;

  constructor(
    /** The exchange at which delayed messages come in. */
    readonly entry: string,
  ) {
    this.fresh = `${entry}.fresh`;
    this.first = `${entry}.first`;
    this.due = `${entry}.due`;
    this.lost = `${entry}.lost`;
    this.unheard = `${entry}.unheard`;
  }

  /** The queue of a level, and the exchange that leads into it or past it. */
  level(level: number): string {
    return `${this.entry}.${2 ** level}s`;
  }

  /** The exchange behind a level. */
  below(level: number): string {
    return level > 0 ? this.level(level - 1) : this.due;
  }

  /** The queue from which the messages to one destination go there. */
  dueQueue(to: Destination): string {
    return `${this.due}.${nameOf(to)}`;
  }

  /** The exchange from which events go to one that they were emitted to. */
  emitting(to: Destination): string {
    return `${this.entry}.to.${to.exchange}`;
  }

  /** Throws if nothing can be delayed on its way there. */
  check(to: Destination): void {
    const name = nameOf(to);
    if (!/^[A-Za-z0-9._:-]+$/.test(name)) {
      throw new TypeError(`${name}: a name has letters, digits, '.', '-' and '_'`);
    }
    const names = [routingKey(0, name), this.dueQueue(to), this.emitting(to)];
    const tooLong = Math.max(...names.map((one) => one.length)) - NAME_BYTES;
    if (tooLong > 0) throw new RangeError(`${name} is ${tooLong} bytes too long to be delayed`);
  }
}
