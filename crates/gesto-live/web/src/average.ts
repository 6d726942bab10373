// Exponential averages, and counts within the last second.

/** Weight of the newest value, as in the seed's panel. */
export const WEIGHT = 0.1;

export class Average {
  private current: number | undefined;

  get value(): number | undefined {
    return this.current;
  }

  add(value: number): void {
    if (!Number.isFinite(value)) return;
    this.current = this.current === undefined ? value : this.current + WEIGHT * (value - this.current);
  }

  reset(): void {
    this.current = undefined;
  }
}

/** Frames per second of a stage that took `ms`; a stage quicker than the clock tells nothing. */
export function fpsOf(ms: number): number {
  return ms > 0 ? 1000 / ms : Number.NaN;
}

/** How many events fell into the last second. */
export class Rate {
  private times: number[] = [];

  add(now: number): void {
    this.times.push(now);
    this.trim(now);
  }

  perSecond(now: number): number {
    this.trim(now);
    return this.times.length;
  }

  private trim(now: number): void {
    let old = 0;
    while (old < this.times.length && (this.times[old] ?? now) < now - 1000) old++;
    if (old > 0) this.times.splice(0, old);
  }
}
