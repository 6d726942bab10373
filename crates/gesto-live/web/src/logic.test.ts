import { describe, expect, it } from "vitest";

import { Average, Rate, fpsOf } from "./average";
import { WAYS, WayChooser } from "./encoder";
import type { Way } from "./encoder";
import { mirrorResult } from "./mirror";
import { inWords } from "./controls";
import { Motion, iou } from "./motion";
import { offered } from "./preferences";
import type { Hello, Result } from "./protocol";

describe("averages", () => {
  it("weigh the newest value with a tenth", () => {
    const average = new Average();
    expect(average.value).toBeUndefined();
    average.add(100);
    expect(average.value).toBe(100);
    average.add(200);
    expect(average.value).toBeCloseTo(110);
    average.add(Number.NaN);
    expect(average.value).toBeCloseTo(110);
  });

  it("take no fps from a stage without time", () => {
    expect(fpsOf(4)).toBe(250);
    expect(fpsOf(0)).toBeNaN();
  });

  it("count the last second", () => {
    const rate = new Rate();
    for (let at = 0; at < 3000; at += 20) rate.add(at);
    expect(rate.perSecond(2980)).toBe(51);
    expect(rate.perSecond(9000)).toBe(0);
  });
});

describe("the way of sending", () => {
  const run = (cost: Record<Way, number>): Way => {
    const chooser = new WayChooser();
    for (let i = 0; !chooser.settled; i++) {
      expect(i).toBeLessThan(100);
      const way = chooser.next(i);
      chooser.measured(way, cost[way], i);
    }
    return chooser.next(50);
  };

  it("is the one that proved quickest", () => {
    expect(run({ jpeg: 5, webp: 30, rgb: 8 })).toBe("jpeg");
    expect(run({ jpeg: 5, webp: 30, rgb: 2 })).toBe("rgb");
    expect(run({ jpeg: 5, webp: 3, rgb: 4 })).toBe("webp");
  });

  it("is measured anew after a while, and never when it is fixed", () => {
    const chooser = new WayChooser();
    for (let i = 0; !chooser.settled; i++) chooser.measured(chooser.next(i), 5, i);
    expect(chooser.next(10)).toBe("jpeg");
    expect(WAYS).toContain(chooser.next(1e9));
    expect(chooser.settled).toBe(false);
    chooser.fix("rgb");
    expect(chooser.next(0)).toBe("rgb");
    expect(chooser.settled).toBe(true);
  });

  it("is not one that failed", () => {
    const chooser = new WayChooser();
    chooser.next(0);
    chooser.failed("webp");
    for (let i = 0; !chooser.settled; i++) {
      const way = chooser.next(i);
      expect(way).not.toBe("webp");
      chooser.measured(way, way === "rgb" ? 9 : 5, i);
    }
    expect(chooser.next(50)).toBe("jpeg");
  });
});

const result = (x: number): Result => ({
  id: 1,
  sentAt: 0,
  width: 100,
  height: 50,
  mirrored: false,
  dropped: 0,
  timing: { queue: 0, unpack: 0, resize: 0, model: 0, decode: 0, nms: 0, total: 0, server: 0 },
  hands: [{ gesture: 4, score: 0.9, box: { x, y: 10, w: 20, h: 20 } }],
  people: [{ score: 0.9, box: { x, y: 0, w: 40, h: 50 }, keypoints: [{ x: x + 1, y: 2, score: 0.8 }] }],
});

describe("motion", () => {
  it("glides to the newest result and arrives", () => {
    const motion = new Motion(true);
    motion.update(result(10), 0);
    expect(motion.at(0)?.hands[0]?.box.x).toBe(10);
    motion.update(result(14), 16);
    const between = motion.at(20)?.hands[0]?.box.x ?? 0;
    expect(between).toBeGreaterThan(10);
    expect(between).toBeLessThan(14);
    expect(motion.at(300)?.hands[0]?.box.x).toBeCloseTo(14, 1);
  });

  it("does not glide across the picture or when the person wants none", () => {
    const motion = new Motion(true);
    motion.update(result(0), 0);
    motion.at(0);
    motion.update(result(70), 16);
    expect(motion.at(17)?.hands[0]?.box.x).toBe(70);
    const still = new Motion(false);
    still.update(result(10), 0);
    still.at(0);
    still.update(result(14), 16);
    expect(still.at(17)?.hands[0]?.box.x).toBe(14);
  });

  it("turns over with the picture, at once", () => {
    const motion = new Motion(true);
    motion.update(result(10), 0);
    motion.at(0);
    motion.mirror();
    const scene = motion.at(1);
    expect(scene?.hands[0]?.box.x).toBe(result(10).width - 10 - 20);
    expect(scene?.people[0]?.keypoints[0]?.x).toBe(result(10).width - 11);
    motion.clear();
    motion.mirror();
    expect(motion.at(2)).toBeNull();
  });

  it("fades what is out of date", () => {
    const motion = new Motion(true);
    motion.update(result(10), 0);
    expect(motion.at(300)?.opacity).toBe(1);
    expect(motion.at(600)?.opacity).toBeCloseTo(0.5);
    expect(motion.at(900)).toBeNull();
    expect(motion.at(900, true)?.opacity).toBe(1);
  });

  it("waits for a slow machine's next result before it fades", () => {
    const motion = new Motion(true);
    for (let at = 0; at <= 20_000; at += 1000) motion.update(result(10), at);
    expect(motion.at(22_000)?.opacity).toBe(1);
    expect(motion.at(23_000)).toBeNull();
  });

  it("measures overlap", () => {
    const box = { x: 0, y: 0, w: 10, h: 10 };
    expect(iou(box, box)).toBe(1);
    expect(iou(box, { ...box, x: 5 })).toBeCloseTo(1 / 3);
    expect(iou(box, { ...box, x: 10 })).toBe(0);
  });
});

describe("names of choices", () => {
  it("are words", () => {
    expect(["cpu", "cpu-bilinear", "custom-op", "ort:cuda", "gpu:1", "letterbox"].map(inWords)).toEqual([
      "CPU",
      "CPU bilinear",
      "Custom operator",
      "ONNX Runtime: CUDA",
      "GPU: 1",
      "Letterbox",
    ]);
  });
});

describe("settings that were kept", () => {
  const hello = {
    choices: {
      sizes: [[320, 224]],
      fits: ["letterbox"],
      units: ["cpu"],
      resizes: { cpu: ["cpu-bilinear"] },
      missing: { units: {}, resizes: {} },
    },
    settings: { unit: "cpu" },
  } as unknown as Hello;

  it("are asked for only where the server offers them", () => {
    const here = { size: [320, 224] as [number, number], unit: "cpu", resize: "cpu-bilinear", conf_hand: 0.4 };
    expect(offered(here, hello)).toEqual(here);
    const elsewhere = { size: [640, 448] as [number, number], unit: "gpu", resize: "gpu-bilinear", fit: "crop", hands: false };
    expect(offered(elsewhere, hello)).toEqual({ hands: false });
  });
});

describe("mirroring", () => {
  it("turns boxes and points and comes back", () => {
    const mirrored = mirrorResult(result(10));
    expect(mirrored.mirrored).toBe(true);
    expect(mirrored.hands[0]?.box).toEqual({ x: 70, y: 10, w: 20, h: 20 });
    expect(mirrored.people[0]?.keypoints[0]?.x).toBe(89);
    expect(mirrorResult(mirrored)).toEqual(result(10));
  });
});
