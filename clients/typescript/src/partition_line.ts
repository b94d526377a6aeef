/**
 * The deliveries of one partition, for as long as one consumer has it: those of one key one after the
 * other. One that is given back ends the line: what is behind it must not be run before it. All that is
 * not done then is kept as it is, until the channel is closed, with which it is back in its place.
 */

import { asText } from "./context.js";
import type { Message } from "./message.js";

export const PARTITIONS_MAX = 256;
const HEADER = "x-replybus-partition";

/** The key of a call, by its hash, among so many partitions. */
export interface Place {
  key: number;
  partitions: number;
}

/** The place that a message says it has. */
export function placeIn(message: Message): Place | undefined {
  const [, key, by] = /^(\d{1,10})\/(\d{1,5})$/.exec(asText(message.headers[HEADER]) ?? "") ?? [];
  const place = { key: Number(key), partitions: Number(by) };
  const isOne = place.key <= 0xffff_ffff && place.partitions >= 1 && place.partitions <= PARTITIONS_MAX;
  return isOne ? place : undefined;
}

/** Why a message that came to a partition is not to be run: it would be out of its order. */
export function misplaced(message: Message, partitions: number): string | undefined {
  const place = placeIn(message);
  let said: string;
  if (place === undefined) said = "its header says no key";
  else if (place.partitions !== partitions) {
    said = `its caller divides the calls by ${place.partitions}, the service by ${partitions}`;
  } else if (place.key % partitions !== message.partition) {
    said = `its key is of partition ${place.key % partitions}`;
  } else return undefined;
  return `${HEADER}: it came to partition ${message.partition}, and ${said}`;
}

/** Takes a message to its end, and acknowledges it; false if it is to be given back. */
export type Work = () => Promise<boolean>;

/** What one consumer of a partition holds; no more than its prefetch. */
export class Line {
  /** Of each key of which one runs: those that wait for it. */
  private readonly waiting = new Map<number, Work[]>();
  private count = 0;
  private ending = false;

  constructor(
    private readonly partition: number,
    /** Called when one has ended, or nothing more is begun. */
    private readonly changed: () => void,
  ) {}

  /** Deliveries that are worked on. */
  get running(): number {
    return this.count;
  }

  /** Nothing more is begun. */
  get isEnding(): boolean {
    return this.ending;
  }

  /** Takes the next delivery of the queue. */
  add(message: Message, work: Work): void {
    const place = placeIn(message);
    // What has no place is refused, and is nobody's predecessor.
    const isHere = place !== undefined && place.key % place.partitions === this.partition;
    if (!isHere) {
      this.begin(work, undefined);
      return;
    }
    const before = this.waiting.get(place.key);
    if (before !== undefined) before.push(work);
    else {
      this.waiting.set(place.key, []);
      this.begin(work, place.key);
    }
  }

  /** Begins no more of it. */
  end(): void {
    this.ending = true;
    this.changed();
  }

  private begin(work: Work, key: number | undefined): void {
    if (this.ending) return;
    this.count += 1;
    void work()
      .catch(() => false)
      .then((isDone) => {
        this.count -= 1;
        if (isDone) this.next(key);
        else this.ending = true;
        this.changed();
      });
  }

  private next(key: number | undefined): void {
    if (key === undefined) return;
    const next = this.waiting.get(key)?.shift();
    if (next === undefined) this.waiting.delete(key);
    else this.begin(next, key);
  }
}
