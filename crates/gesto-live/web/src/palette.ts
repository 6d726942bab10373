// Colours and limbs: the ones that `gesto detect --save` draws with.

import table from "../../../gesto-media/src/draw/palette.json";

export type Part = keyof typeof table.parts;

const GESTURES: Readonly<Record<string, string>> = table.gestures;

/** Limbs as keypoint numbers (COCO's 17, arXiv:1405.0312) and the part of the body that they belong to. */
export const LIMBS = table.limbs.map(([from, to, part]) => [from as number, to as number, part as Part] as const);

export const PART_COLOURS: Readonly<Record<Part, string>> = table.parts;

const INK = table.ink;

/** A colour for each gesture; classes of other models are told apart by number alone. */
export function gestureColour(index: number, name: string): string {
  return GESTURES[name] ?? table.others[index % table.others.length] ?? INK;
}

/** What reads well on `colour` (#rrggbb): by luminance, with the weights of Rec. 709 on gamma-coded values. */
export function ink(colour: string): string {
  const channel = (at: number): number => Number.parseInt(colour.slice(at, at + 2), 16) / 255;
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5) > 0.45 ? INK : "#ffffff";
}
