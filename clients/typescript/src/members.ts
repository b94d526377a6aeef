/** The instances that share the partitions of a service, as Redis knows them. */

import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { idBytes, isId } from "./names.js";
import type { Serving } from "./serving.js";

/** Milliseconds between two looks for them. */
const LOOKED_AT_EVERY = 2_000;

/** None of them are known where Redis can't be asked: then everybody keeps what it has. */
export class Members {
  private known: string[] = [];

  constructor(
    private readonly serving: Serving,
    private readonly partitions: number,
    private readonly changed: () => void,
  ) {}

  /** The one that is to have a partition. */
  preferred(partition: number): string | undefined {
    let best: { weight: bigint; member: string } | undefined;
    for (const member of this.known) {
      const weight = weightOf(member, partition);
      const isBetter = best === undefined || weight > best.weight || (weight === best.weight && member > best.member);
      if (isBetter) best = { weight, member };
    }
    return best?.member;
  }

  /** Looks for them until `stop` fires. */
  async watch(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      this.known = await this.present().catch(() => []);
      this.changed();
      await sleep(LOOKED_AT_EVERY, undefined, { signal: stop }).catch(() => undefined);
    }
  }

  private async present(): Promise<string[]> {
    const { bus, service } = this.serving;
    const [until, records] = bus.names.instances(service.queue);
    const [seconds, micros] = await bus.redis.time();
    const now = Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
    const ids = await bus.redis.zrangebyscore(until, `(${now}`, "+inf");
    if (ids.length === 0) return [];
    const found = await bus.redis.hmget(records, ...ids);
    return found.flatMap((record) => this.memberOf(record) ?? []);
  }

  /** Who shares the partitions by this record, which anybody may have written. */
  private memberOf(record: string | null): string | undefined {
    try {
      const said = JSON.parse(record ?? "") as { id?: unknown; partitions?: unknown; draining?: unknown } | null;
      if (said?.draining === true || said?.partitions !== this.partitions) return undefined;
      return isId(said.id) ? said.id : undefined;
    } catch {
      return undefined;
    }
  }
}

/** Of all pairs of a partition and a member the one of the highest weight is to have it. */
export function weightOf(member: string, partition: number): bigint {
  const number = Buffer.alloc(2);
  number.writeUInt16BE(partition);
  return createHash("sha256").update(idBytes(member)).update(number).digest().readBigUInt64BE();
}
