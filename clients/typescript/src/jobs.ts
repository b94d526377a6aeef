/**
 * Jobs: commands that take long. The message of one is settled while it runs, and comes back now and then
 * so that somebody looks after it.
 */

import { LEASE, type Recorded } from "./claims.js";
import { CommandRun, type ServedCommand } from "./commands.js";
import type { Envelope } from "./envelope.js";
import { CallFailed, stackOf } from "./errors.js";
import { GivenBack, type Outcome, faulty, recorded } from "./outcome.js";
import type { Serving } from "./serving.js";
import { MISSED, STARTED, WaitingRoom, says } from "./waiting.js";

/** Milliseconds for which a delivery of a job that runs stays with its worker. */
const HELD_FOR = 10_000;
/**
 * Milliseconds after which a message is put off that no handler was free for: far below the 30 minutes after
 * which RabbitMQ takes it away.
 */
const PLACE_AWAITED_FOR = 10 * 60_000;
/** Jobs of which an instance tells whoever asks, the oldest first. */
const TOLD_MAX = 256;

type Work = (run: CommandRun, read: Envelope) => Promise<void>;
type Conclude = (read: Envelope, outcome: Outcome, run: CommandRun) => Promise<void>;

/** The jobs of one serving, and what waits while its handlers are at them. */
export class Jobs {
  private readonly room: WaitingRoom;
  private readonly running = new Map<CommandRun, { since: number; attempt: number }>();
  private readonly all = new Set<Promise<void>>();
  /** Each gives a delivery back. */
  private readonly held = new Set<() => void>();

  constructor(private readonly serving: Serving) {
    this.room = new WaitingRoom(serving);
  }

  /**
   * Takes a delivery of a job to its end, or until it may be settled while the job goes on; throws
   * `GivenBack` if it was not.
   */
  async take(served: ServedCommand, read: Envelope, work: Work, conclude: Conclude): Promise<void> {
    const run = new CommandRun(this.serving, served, read, 1);
    if ((await this.isLookedAfter(run, read, conclude)) || !(await this.entered(read))) return;
    const running = this.inPlace(run, read, work, conclude);
    const tracked = running.catch(() => undefined).finally(() => this.all.delete(tracked));
    this.all.add(tracked);
    return this.heldFor(run, read, running);
  }

  /** Holds a delivery until its job has ended, or the broker has its message once more, or it is given back. */
  private heldFor(run: CommandRun, read: Envelope, running: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      let isOver = false;
      const handBack = async () => {
        if (!(await this.room.keepStarted(read, false, () => isOver))) return;
        run.isHandedBack = true;
        resolve();
      };
      // It goes on, and its message is given back.
      const giveBack = () => {
        run.isHandedBack = true;
        reject(new GivenBack());
      };
      // Of one that waits to be started its message would say what is not so.
      const timer = setTimeout(() => void run.started.then(handBack).catch(reject), HELD_FOR);
      this.held.add(giveBack);
      running.then(resolve, reject).finally(() => {
        isOver = true;
        clearTimeout(timer);
        this.held.delete(giveBack);
      });
    });
  }

  /** Waits for a place; false of a message that the broker keeps: all handlers are at jobs. */
  async entered(read: Envelope): Promise<boolean> {
    while (!(await this.serving.places.enterWithin(PLACE_AWAITED_FOR))) {
      if (await this.room.putOff(read)) return false;
    }
    return true;
  }

  /** Leaves a job to whoever runs it; throws `GivenBack` if the broker keeps no messages. */
  async leave(read: Envelope): Promise<void> {
    if (!(await this.room.keepStarted(read))) throw new GivenBack();
  }

  private async inPlace(run: CommandRun, read: Envelope, work: Work, conclude: Conclude): Promise<void> {
    try {
      if (this.serving.isStopping) throw new GivenBack();
      // It may have waited for its place for long.
      if (says(read.message, STARTED) && (await this.isLookedAfter(run, read, conclude))) return;
      await work(run, read);
    } catch (error) {
      if (!run.isHandedBack) throw error;
      if (error instanceof GivenBack) return;
      const text = `what became of a job is said when its message comes back: ${stackOf(error)}`;
      this.serving.bus.link.log(text);
    } finally {
      this.serving.places.leave();
    }
  }

  /**
   * Looks at the record of a job that may have been started; true if it is not to be run now, and all is
   * done with its message.
   */
  private async isLookedAfter(run: CommandRun, read: Envelope, conclude: Conclude): Promise<boolean> {
    const wasStarted = says(read.message, STARTED);
    if (run.claim === undefined || !(wasStarted || read.seenBefore)) return false;
    let known: Recorded | undefined;
    try {
      known = await this.serving.claims.record(run.claim.name);
    } catch (error) {
      if (!wasStarted) return false;
      // It is taken for one that runs: so it is looked at again.
      this.serving.bus.link.log(`a job is looked at later: ${(error as Error).message}`);
      await this.leave(read);
      return true;
    }
    if (known !== undefined && "frame" in known) {
      if (wasStarted) await conclude(read, { ...recorded(known.frame), hasRun: true }, run);
      return wasStarted;
    }
    if (known !== undefined) {
      // It is renewed three times in a lease.
      const runs = known.leaseLeft > LEASE / 2;
      if (runs) await this.leave(read);
      return runs;
    }
    if (wasStarted && says(read.message, MISSED)) {
      const text = "it was started, and its record is gone: it may be done, or half done";
      await conclude(read, faulty(read, new CallFailed("interrupted", text, true)), run);
    } else if (wasStarted && !(await this.room.keepStarted(read, true))) {
      throw new GivenBack();
    }
    return wasStarted;
  }

  /** Enters a run that begins now. */
  begun(run: CommandRun, attempt: number): void {
    this.running.set(run, { since: Date.now(), attempt });
  }

  /** Takes it out. */
  ended(run: CommandRun): void {
    this.running.delete(run);
  }

  /** How many run whose deliveries are settled. */
  get handedBack(): number {
    return [...this.running.keys()].filter((run) => run.isHandedBack).length;
  }

  /** Waits until all have ended. */
  async drained(): Promise<void> {
    await Promise.allSettled([...this.all]);
  }

  /** Tells the handlers of those that run that they are to end, and gives their deliveries back. */
  leaveAll(): void {
    for (const run of this.running.keys()) run.tell();
    for (const giveBack of this.held) giveBack();
  }

  /** The oldest that run, and the number of those that are left out. */
  told(): { jobs: object[]; more: number } {
    const oldest = [...this.running].slice(0, TOLD_MAX);
    const jobs = oldest.map(([run, { since, attempt }]) => ({ ...run.told(), since_ms: since, attempt }));
    return { jobs, more: this.running.size - oldest.length };
  }
}
