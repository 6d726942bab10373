// Where labels go, so that they stay inside the picture, off hands and off each other.

import type { Box } from "./protocol";

/** Room that labels share; `taken` is what lies there already, such as the page's own chips. */
export class Layout {
  private readonly taken: Box[];

  constructor(
    private readonly width: number,
    private readonly height: number,
    private readonly gap: number,
    private readonly hands: readonly Box[],
    taken: readonly Box[] = [],
  ) {
    this.taken = [...taken];
  }

  /** The best place for the label of `of`; it is taken from now on. */
  place(of: Box, width: number, height: number): Box {
    let best: Box | undefined;
    let least = Infinity;
    this.candidates(of, width, height).forEach((place, rank) => {
      const cost = this.cost(place, of) + 0.02 * rank;
      if (cost < least) [best, least] = [place, cost];
    });
    const place = best ?? { x: of.x, y: of.y, w: width, h: height };
    this.taken.push(place);
    return place;
  }

  /** Places around the box and in it, the usual ones first. */
  private candidates(of: Box, w: number, h: number): Box[] {
    const { gap } = this;
    const [left, right] = [of.x, of.x + of.w - w];
    const [above, below] = [of.y - gap - h, of.y + of.h + gap];
    const places: (readonly [number, number])[] = [
      [left, above], [right, above], [left, below], [right, below],
      [of.x + of.w + gap, of.y], [of.x - gap - w, of.y],
      [left + gap, of.y + gap], [left + gap, of.y + of.h - gap - h],
      [left, above - h - gap], [left, below + h + gap],
    ];
    const within = (at: number, length: number, room: number): number => Math.max(gap, Math.min(at, room - length - gap));
    return places.map(([x, y]) => ({ x: within(x, w, this.width), y: within(y, h, this.height), w, h }));
  }

  /** Shares of the label: to cover another label is worst, then any hand, most of all its own small one. */
  private cost(place: Box, of: Box): number {
    const share = (other: Box): number => overlap(place, other) / (place.w * place.h);
    const crowd = this.taken.reduce((sum, other) => sum + share(other), 0);
    const hands = this.hands.reduce((sum, hand) => sum + share(hand), 0);
    // Inside a large box a label hides little of the hand.
    const hidden = overlap(place, of) / Math.max(1, of.w * of.h);
    return 20 * crowd + 2 * hands + 4 * hidden;
  }
}

export function overlap(a: Box, b: Box): number {
  const w = Math.min(a.x + a.w, b.x + b.w) - Math.max(a.x, b.x);
  const h = Math.min(a.y + a.h, b.y + b.h) - Math.max(a.y, b.y);
  return Math.max(0, w) * Math.max(0, h);
}
