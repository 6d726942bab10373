import { describe, expect, it } from "vitest";

import { largest, topFor } from "./graph";
import { Layout, overlap } from "./labels";
import { LIMBS, PART_COLOURS, gestureColour, ink } from "./palette";

const box = (x: number, y: number, w: number, h: number) => ({ x, y, w, h });

describe("labels", () => {
  const room = (hands = [box(0, 0, 0, 0)], taken = [box(0, 0, 0, 0)]) => new Layout(400, 300, 4, hands, taken);

  it("sit above their box where there is room", () => {
    const hand = box(100, 100, 60, 60);
    expect(room([hand]).place(hand, 80, 20)).toEqual(box(100, 76, 80, 20));
  });

  it("sit below or beside a small hand at the top, not on it", () => {
    for (const hand of [box(100, 2, 30, 30), box(2, 2, 30, 30), box(368, 2, 30, 30)]) {
      const place = room([hand]).place(hand, 80, 20);
      expect(overlap(place, hand)).toBe(0);
    }
  });

  it("sit in a hand that fills the picture", () => {
    const hand = box(0, 0, 400, 300);
    const place = room([hand]).place(hand, 80, 20);
    expect(overlap(place, box(0, 0, 400, 300))).toBe(80 * 20);
  });

  it("stay off each other, off other hands and off what the page covers", () => {
    const hands = [box(300, 40, 50, 50), box(290, 95, 50, 50)];
    const chips = box(280, 0, 120, 34);
    const layout = room(hands, [chips]);
    const places = hands.map((hand) => layout.place(hand, 80, 20));
    const [one, other] = places;
    expect(overlap(one!, other!)).toBe(0);
    for (const place of places) {
      expect(overlap(place, chips)).toBe(0);
      for (const hand of hands) expect(overlap(place, hand)).toBe(0);
      expect(place.x >= 0 && place.y >= 0 && place.x + place.w <= 400 && place.y + place.h <= 300).toBe(true);
    }
  });
});

describe("colours", () => {
  it("are those of the program's annotated pictures", () => {
    expect(gestureColour(4, "like")).toBe("#4ade80");
    expect(gestureColour(0, "call")).toBe("#22d3ee");
    expect(gestureColour(9, "of another model")).toBe(gestureColour(1, "of another model"));
  });

  it("carry text that can be read", () => {
    expect(ink("#fde68a")).toBe("#0b1020");
    expect(ink("#7c3aed")).toBe("#ffffff");
  });

  it("tell left from right, and no limb joins head and shoulders", () => {
    expect(LIMBS).toHaveLength(17);
    for (const [from, to, part] of LIMBS) {
      expect(PART_COLOURS[part]).toMatch(/^#[0-9a-f]{6}$/);
      expect(from < 5).toBe(to < 5);
    }
  });
});

describe("the graph", () => {
  it("ends at a number that can be read, above the curve", () => {
    expect([0, 12, 20, 26, 90, 4000].map(topFor)).toEqual([20, 20, 25, 30, 120, 5000]);
  });

  it("tells the largest value", () => {
    expect(largest([3.26, null, 1])).toBe("3.3");
    expect(largest([20.4, 31.6])).toBe("32");
    expect(largest([null])).toBe("–");
  });
});
