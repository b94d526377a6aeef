/** Claims: the right to run a command, an event or a redelivery, which one worker has at a time. */

import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { ContentType } from "./codec.js";
import { CallFailed } from "./errors.js";
import { INBOX_ENTRIES } from "./inbox.js";
import type { Log } from "./link.js";
import { type Names, newId } from "./names.js";
import { Pauses } from "./pauses.js";
import type { ScriptName, Scripts } from "./scripts.js";

/** Milliseconds that a claim lives without being renewed. */
export const LEASE = 3_000;
/** Runs of one command that may end without an outcome. */
export const ATTEMPTS_MAX = 5;
const DAY = 24 * 60 * 60_000;
const KEPT = 2 * 60_000;
const UNKEYED = 30 * 60_000;
/** The longest pause, in milliseconds, before a claim is asked for again. */
const ASK_AGAIN_MAX = 500;
/** Milliseconds between two looks at a record. */
const LOOK_AGAIN = 250;
/** How long a reply is kept under its own key. */
export const REPLY_TTL = 600_000;

/** A claim that may be asked for; times are milliseconds. */
export interface Claim {
  name: string;
  fingerprint: Buffer;
  retention: number;
  /** The moment until which its record lives at least; 0 for none. */
  until: number;
  lease: number;
  owner: string;
}

export function claimOf(name: string, of: Partial<Claim> = {}): Claim {
  const plain = { fingerprint: Buffer.alloc(16), retention: DAY, until: 0, lease: LEASE };
  return { name, ...plain, owner: newId(), ...of };
}

/** The claim of a command, which is found under `name`. */
export function commandClaim(
  name: string,
  key: string | undefined,
  deadline: number | undefined,
  type: ContentType,
  body: Buffer,
): Claim {
  const hash = createHash("sha256").update(type).update("\0").update(body).digest();
  const fingerprint = hash.subarray(0, 16);
  if (key !== undefined) return claimOf(name, { fingerprint });
  if (deadline !== undefined && deadline + KEPT <= Date.now() + DAY) {
    return claimOf(name, { fingerprint, retention: KEPT, until: deadline + KEPT });
  }
  return claimOf(name, { fingerprint, retention: UNKEYED });
}

/** Until when a copy of what a claim is for is recognised. */
export function knownUntil(claim: Claim): number {
  return (claim.until || Date.now() + claim.retention) - KEPT;
}

/** What came of asking: this run may begin, or it was done, or it was refused. */
export type Asked =
  | { attempt: number }
  | { frame: Buffer }
  /** `elsewhere`: another run goes on. `unknown`: nothing says whether there was an earlier one. */
  | { refused: CallFailed; elsewhere: boolean; unknown: boolean };

/** A record: its outcome, or its run and for how many milliseconds that is not another's. */
export type Recorded = { frame: Buffer } | { attempt: number; leaseLeft: number; progress: Buffer | undefined };

export class Claims {
  constructor(
    private readonly scripts: Scripts,
    private readonly names: Names,
    private readonly log: Log,
  ) {}

  /**
   * Asks for a claim until it is given or refused, or until this moment, or another has had it for so many
   * milliseconds.
   */
  async take(claim: Claim, until: number, isOver: () => boolean, patience = Number.POSITIVE_INFINITY): Promise<Asked> {
    const pauses = new Pauses(5, ASK_AGAIN_MAX);
    const patientUntil = Date.now() + patience;
    let waited = false;
    while (true) {
      const [asked, askedAt] = [performance.now(), Date.now()];
      const [word, rest] = await this.ask(claim, waited);
      const age = performance.now() - asked;
      if (word === "run") {
        const hasLapsed = claim.lease > 0 && age >= claim.lease;
        if (!hasLapsed) return { attempt: Number(rest) };
        this.log("a claim was given longer ago than it lives: asking again");
      }
      if (word === "done") return { frame: rest as Buffer };
      if (word === "conflict") {
        const text = "the idempotency key was used for another request";
        return refusedFor(new CallFailed("key_conflict", text, false), false, false);
      }
      if (word === "expired") {
        const text = "its time had passed long before it was started";
        return refusedFor(new CallFailed("expired", text, false), false, true);
      }
      waited ||= word === "running";
      const pause = pauses.next();
      const isLate = Date.now() + pause > until;
      // What was true when it was asked says little of what is now.
      const isOld = word !== "unasked" && age > ASK_AGAIN_MAX;
      if (isLate && isOld && askedAt < until && !isOver()) continue;
      const isLeft = waited && Date.now() > patientUntil;
      if (isLeft || isOver() || isLate) return outOfTime(waited);
      await sleep(pause);
    }
  }

  private async ask(claim: Claim, waited: boolean): Promise<[string, unknown]> {
    const args = [...running(claim), waited ? 1 : 0];
    try {
      const answers = (await this.scripts.run("claim", [this.key(claim)], args)) as [Buffer, unknown][];
      const [word, rest] = answers[0] ?? [Buffer.from("unasked"), undefined];
      return [word.toString(), rest];
    } catch (error) {
      this.log(`asking for a claim again: ${(error as Error).message}`);
      return ["unasked", undefined];
    }
  }

  /** Renews a claim until `stop` fires; tells if it is another's by now. */
  async keep(claim: Claim, stop: AbortSignal, lost: () => void): Promise<void> {
    let pause = LEASE / 3;
    while (!stop.aborted) {
      await sleep(pause, undefined, { signal: stop }).catch(() => undefined);
      if (stop.aborted) return;
      try {
        const isOurs = await this.scripts.run("renew", [this.key(claim)], running(claim));
        pause = LEASE / 3;
        if (isOurs === 0) {
          lost();
          return;
        }
      } catch (error) {
        this.log(`a claim was not renewed: ${(error as Error).message}`);
        pause = 100;
      }
    }
  }

  /** Looks at the record of what is claimed under this name, if there is one. */
  async record(name: string): Promise<Recorded | undefined> {
    const answer = await this.scripts.run("record", [this.names.claim(name)], []);
    const [word, first, left, noted] = answer as [Buffer?, (Buffer | number)?, number?, (Buffer | null)?];
    if (word?.toString() === "done") return { frame: (first as Buffer | null) ?? Buffer.alloc(0) };
    if (word === undefined) return undefined;
    return { attempt: Number(first), leaseLeft: Number(left), progress: noted ?? undefined };
  }

  /** Notes in the record of a claim how far its run is, unless it is another's by now. */
  async note(claim: Claim, progress: Buffer): Promise<void> {
    await this.scripts.run("note", [this.key(claim)], [claim.owner, progress]);
  }

  /** Waits until the run of another has ended, or its lease is over; no longer than `until`. */
  async endedElsewhere(claim: Claim, until: number): Promise<void> {
    while (Date.now() < until) {
      try {
        const known = await this.record(claim.name);
        if (known === undefined || "frame" in known || known.leaseLeft <= 0) return;
      } catch (error) {
        this.log(`looking for the end of a run again: ${(error as Error).message}`);
      }
      await sleep(LOOK_AGAIN);
    }
  }

  /** Gives up a claim under which nothing was done: the run does not count. */
  release(claim: Claim): Promise<void> {
    return this.giveUp("release", claim);
  }

  /** Gives up a claim under which something may have been done: the run counts. */
  lapse(claim: Claim): Promise<void> {
    return this.giveUp("lapse", claim);
  }

  private async giveUp(script: ScriptName, claim: Claim): Promise<void> {
    await this.scripts.run(script, [this.key(claim)], [claim.owner]).catch((error: Error) => {
      this.log(`a claim is left to lapse: ${error.message}`);
    });
  }

  /**
   * Records an outcome, and stores it as the reply in the same step. What was recorded before stands,
   * and is the reply then. False if nothing was stored: another run has the claim by now, and its
   * outcome is still to come.
   */
  async finish(
    claim: Claim,
    frame: Buffer,
    callId: string,
    inbox: string | undefined,
    to: "inbox" | "key" | "none",
  ): Promise<boolean> {
    const response = this.names.response(callId);
    const keys = to === "inbox" ? [inbox ?? "", response] : to === "key" ? [response] : [];
    const record = [claim.owner, claim.fingerprint, frame, claim.retention, claim.until];
    const args = [INBOX_ENTRIES, ...record, callId, REPLY_TTL, to];
    const [answer] = (await this.scripts.run("finish", [this.key(claim), ...keys], args)) as unknown[];
    return answer !== 0;
  }

  private key(claim: Claim): string {
    return this.names.claim(claim.name);
  }
}

function running(claim: Claim): (string | number | Buffer)[] {
  const life = claim.retention + claim.lease;
  return [claim.owner, claim.fingerprint, claim.lease, life, claim.until];
}

function refusedFor(refused: CallFailed, elsewhere: boolean, unknown: boolean): Asked {
  return { refused, elsewhere, unknown };
}

function outOfTime(waited: boolean): Asked {
  if (waited) {
    const text = "an earlier run of it was still going when the time was up";
    return refusedFor(new CallFailed("timed_out", text, true), true, false);
  }
  return refusedFor(new CallFailed("overloaded", "the claim could not be taken", false), false, true);
}
