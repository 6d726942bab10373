// Between two results the screen refreshes several times: what is drawn glides to the newest
// result, and fades when none comes any more.

import { mirrorResult } from "./mirror";
import type { Box, Hand, Keypoint, Person, Result } from "./protocol";

/** Time constant of the glide: short enough to follow a quick hand. */
const GLIDE_MS = 35;
const FADE_AFTER_MS = 400;
const FADE_MS = 400;
/** A slow machine's results stay until the next one is overdue, or everything drawn would blink. */
const OVERDUE = 2.5;
const LONGEST_INTERVAL_MS = 4000;
const SAME_IOU = 0.3;

export interface Scene {
  width: number;
  height: number;
  /** 1 for a fresh result, towards 0 for one that is out of date. */
  opacity: number;
  hands: Hand[];
  people: Person[];
}

export class Motion {
  private target: Result | null = null;
  private shown: Scene | null = null;
  private arrivedAt = 0;
  private intervalMs = 0;
  private steppedAt = 0;

  constructor(private readonly glide: boolean) {}

  clear(): void {
    this.target = this.shown = null;
  }

  /** The picture was turned over: what is drawn over it jumps with it. */
  mirror(): void {
    if (this.target) this.target = mirrorResult(this.target);
    this.shown = null;
  }

  update(result: Result, now: number): void {
    if (this.target) {
      const interval = Math.min(LONGEST_INTERVAL_MS, now - this.arrivedAt);
      this.intervalMs += 0.2 * (interval - this.intervalMs);
    }
    this.target = result;
    this.arrivedAt = now;
  }

  /** The scene to draw at `now`, null when there is nothing; over a picture that is `held` it does not fade. */
  at(now: number, held = false): Scene | null {
    const { target } = this;
    if (!target) return null;
    const fadeAfter = Math.max(FADE_AFTER_MS, OVERDUE * this.intervalMs);
    const opacity = held ? 1 : 1 - Math.min(1, Math.max(0, now - this.arrivedAt - fadeAfter) / FADE_MS);
    if (opacity === 0) return null;
    const step = this.glide ? 1 - Math.exp(-(now - this.steppedAt) / GLIDE_MS) : 1;
    this.steppedAt = now;
    const before = this.shown?.width === target.width && this.shown.height === target.height ? this.shown : null;
    this.shown = {
      width: target.width,
      height: target.height,
      opacity,
      hands: target.hands.map((hand) => {
        const old = closest(before?.hands, hand.box);
        return old ? { ...hand, box: mixBox(old.box, hand.box, step) } : hand;
      }),
      people: target.people.map((person) => {
        const old = closest(before?.people, person.box);
        if (!old) return person;
        const keypoints = person.keypoints.map((point, i) => mixPoint(old.keypoints[i], point, step));
        return { ...person, box: mixBox(old.box, person.box, step), keypoints };
      }),
    };
    return this.shown;
  }
}

function closest<T extends { box: Box }>(items: readonly T[] | undefined, box: Box): T | undefined {
  let best: T | undefined;
  let bestIou = SAME_IOU;
  for (const item of items ?? []) {
    const overlap = iou(item.box, box);
    if (overlap >= bestIou) [best, bestIou] = [item, overlap];
  }
  return best;
}

export function iou(a: Box, b: Box): number {
  const w = Math.min(a.x + a.w, b.x + b.w) - Math.max(a.x, b.x);
  const h = Math.min(a.y + a.h, b.y + b.h) - Math.max(a.y, b.y);
  if (w <= 0 || h <= 0) return 0;
  return (w * h) / (a.w * a.h + b.w * b.h - w * h);
}

const mix = (from: number, to: number, step: number): number => from + (to - from) * step;

function mixBox(from: Box, to: Box, step: number): Box {
  return { x: mix(from.x, to.x, step), y: mix(from.y, to.y, step), w: mix(from.w, to.w, step), h: mix(from.h, to.h, step) };
}

function mixPoint(from: Keypoint | undefined, to: Keypoint, step: number): Keypoint {
  // A point that was not seen before has no place to glide from.
  if (!from || from.score < 0.2) return to;
  return { x: mix(from.x, to.x, step), y: mix(from.y, to.y, step), score: to.score };
}
