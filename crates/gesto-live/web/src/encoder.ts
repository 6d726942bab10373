// From the picture on the screen to the bytes of one frame, by the way that proves quickest.

import type { EncodingName } from "./protocol";

export type Way = "jpeg" | "webp" | "rgb";
export const WAYS: readonly Way[] = ["jpeg", "webp", "rgb"];

export interface Encoded {
  encoding: EncodingName;
  width: number;
  height: number;
  payload: Uint8Array;
}

/** Longest side of a compressed frame; the network sees 320 pixels or fewer, so more only costs time. */
const LONGEST_SIDE = 640;
const QUALITY = 0.8;

export class Encoder {
  private readonly canvas = document.createElement("canvas");
  private readonly context: CanvasRenderingContext2D;

  constructor() {
    // Pixels are read back for every frame, so the canvas had better live in main memory.
    const context = this.canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    if (!context) throw new Error("this browser has no 2D canvas");
    this.context = context;
  }

  /** `size` is height and width of the network's input. Returns null while the video has no picture. */
  async encode(video: HTMLVideoElement, mirrored: boolean, size: readonly [number, number], way: Way): Promise<Encoded | null> {
    const { videoWidth, videoHeight } = video;
    if (videoWidth === 0 || videoHeight === 0) return null;
    const scale =
      way === "rgb"
        ? Math.min(1, size[1] / videoWidth, size[0] / videoHeight)
        : Math.min(1, LONGEST_SIDE / Math.max(videoWidth, videoHeight));
    const width = Math.max(1, Math.round(videoWidth * scale));
    const height = Math.max(1, Math.round(videoHeight * scale));
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.context.setTransform(mirrored ? -1 : 1, 0, 0, 1, mirrored ? width : 0, 0);
    this.context.drawImage(video, 0, 0, width, height);
    if (way === "rgb") {
      return { encoding: "rgb", width, height, payload: withoutAlpha(this.context.getImageData(0, 0, width, height).data) };
    }
    const type = `image/${way}`;
    const blob = await new Promise<Blob | null>((resolve) => this.canvas.toBlob(resolve, type, QUALITY));
    if (!blob) return null;
    // A browser that cannot write WebP answers with PNG instead of an error.
    const encoding: EncodingName = blob.type === "image/png" ? "png" : way;
    return { encoding, width, height, payload: new Uint8Array(await blob.arrayBuffer()) };
  }
}

function withoutAlpha(rgba: Uint8ClampedArray): Uint8Array {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    rgb[to] = rgba[from] ?? 0;
    rgb[to + 1] = rgba[from + 1] ?? 0;
    rgb[to + 2] = rgba[from + 2] ?? 0;
  }
  return rgb;
}

const TRIES = 12;
/** Conditions change (another tab, another network), so the choice is made anew now and then. */
const CHOICE_LASTS_MS = 60_000;

/** Tries every way on a few frames and keeps the one whose result came back soonest. */
export class WayChooser {
  private samples = new Map<Way, number[]>();
  private chosen: { way: Way; until: number } | null = null;
  private fixed: Way | null = null;

  /** Null means: measure and choose. */
  fix(way: Way | null): void {
    this.fixed = way;
    this.restart();
  }

  restart(): void {
    this.samples = new Map(WAYS.map((way) => [way, []]));
    this.chosen = null;
  }

  get settled(): boolean {
    return this.fixed !== null || this.chosen !== null;
  }

  next(now: number): Way {
    if (this.fixed) return this.fixed;
    if (this.chosen) {
      if (now < this.chosen.until) return this.chosen.way;
      this.restart();
    }
    if (this.samples.size === 0) this.restart();
    // In turns rather than one after the other: a passing slowness then hits all of them.
    let least: Way = "jpeg";
    for (const way of WAYS) {
      if ((this.samples.get(way)?.length ?? 0) < (this.samples.get(least)?.length ?? 0)) least = way;
    }
    return least;
  }

  /** `ms` from before encoding to the result's arrival. */
  measured(way: Way, ms: number, now: number): void {
    if (this.settled) return;
    this.samples.get(way)?.push(ms);
    if (WAYS.some((each) => (this.samples.get(each)?.length ?? 0) < TRIES)) return;
    let best: Way = "jpeg";
    for (const each of WAYS) {
      if (median(this.samples.get(each)) < median(this.samples.get(best))) best = each;
    }
    this.chosen = { way: best, until: now + CHOICE_LASTS_MS };
  }

  /** This way does not work in this browser. */
  failed(way: Way): void {
    this.samples.set(way, new Array<number>(TRIES).fill(Number.POSITIVE_INFINITY));
  }
}

function median(values: readonly number[] | undefined): number {
  if (!values || values.length === 0) return Number.POSITIVE_INFINITY;
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.POSITIVE_INFINITY;
}
