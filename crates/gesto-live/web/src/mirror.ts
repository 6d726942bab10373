// A result in the pixels of the mirror image. Left and right keep their names: they are the person's own.

import type { Box, Result } from "./protocol";

export function mirrorResult(result: Result): Result {
  const box = (box: Box): Box => ({ ...box, x: result.width - box.x - box.w });
  return {
    ...result,
    mirrored: !result.mirrored,
    hands: result.hands.map((hand) => ({ ...hand, box: box(hand.box) })),
    people: result.people.map((person) => ({
      ...person,
      box: box(person.box),
      keypoints: person.keypoints.map((point) => ({ ...point, x: result.width - point.x })),
    })),
  };
}
