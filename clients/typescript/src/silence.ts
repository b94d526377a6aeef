/** How long the other end of a stream was silent. */

/**
 * Milliseconds after which it matters whether it could be heard, and the longest between two looks that
 * count: each end looks every few seconds, unless its process stands still.
 */
const LOOK_MAX = 6_000;

/**
 * The time for which the other end of a stream was not heard, though it could have been.
 *
 * What can't be heard while a connection is away says nothing of the other end, and when it is back the
 * other end may take as long: so from then on it is counted anew. Nor does time say anything in which this
 * process stood still.
 */
export class Silence {
  private lasted = 0;
  private lookedAt: number;

  constructor(
    /** Whether it can't be heard now. */
    private readonly isDeaf: () => boolean,
    private readonly now = () => performance.now(),
  ) {
    this.lookedAt = now();
  }

  /** It was heard. */
  broken(): void {
    this.lasted = 0;
    this.lookedAt = this.now();
  }

  /** Milliseconds of silence up to now. */
  look(): number {
    const now = this.now();
    this.lasted += Math.min(now - this.lookedAt, LOOK_MAX);
    this.lookedAt = now;
    if (this.lasted >= LOOK_MAX && this.isDeaf()) this.lasted = 0;
    return this.lasted;
  }
}
