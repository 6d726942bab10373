// The picture with everything over it, redrawn at the screen's rate on one canvas, so that
// snapshot and recording show what the person sees.

import { Motion } from "./motion";
import { drawOverlay } from "./overlay";
import type { OverlayOptions } from "./overlay";
import type { Result } from "./protocol";

/** A larger canvas costs time and shows no more: cameras here deliver 640 to 1920 pixels. */
const LONGEST_SIDE = 1920;

export type Picture =
  | { source: HTMLVideoElement; mirrored: boolean }
  | { source: ImageBitmap; mirrored: boolean };

export class View {
  private readonly motion: Motion;
  private picture: Picture | null = null;
  private running = false;
  /** The picture stands still, so what is drawn over it stays. */
  held = false;
  /** Keeps the canvas's resolution, as a recording of it wants. */
  frozen = false;

  constructor(
    readonly canvas: HTMLCanvasElement,
    private readonly stage: HTMLElement,
    private readonly options: () => OverlayOptions,
  ) {
    this.motion = new Motion(!matchMedia("(prefers-reduced-motion: reduce)").matches);
  }

  show(picture: Picture | null): void {
    if (this.picture?.source instanceof ImageBitmap && this.picture.source !== picture?.source) this.picture.source.close();
    this.picture = picture;
    if (!picture) this.motion.clear();
    if (picture && !this.running) {
      this.running = true;
      requestAnimationFrame(() => this.draw());
    }
  }

  /** `result` in the pixels that are shown: mirrored where the picture is. */
  result(result: Result): void {
    this.motion.update(result, performance.now());
  }

  clearResult(): void {
    this.motion.clear();
  }

  /** Turns the picture over, with all that is drawn over it. */
  mirror(): void {
    if (this.picture) this.picture = { ...this.picture, mirrored: !this.picture.mirrored };
    this.motion.mirror();
  }

  private draw(): void {
    const { picture, canvas } = this;
    const ctx = canvas.getContext("2d", { alpha: false });
    if (!picture || !ctx) {
      this.running = false;
      ctx?.clearRect(0, 0, canvas.width, canvas.height);
      canvas.hidden = true;
      return;
    }
    requestAnimationFrame(() => this.draw());
    const { source, mirrored } = picture;
    const [width, height] = source instanceof HTMLVideoElement ? [source.videoWidth, source.videoHeight] : [source.width, source.height];
    if (width === 0 || height === 0) return;
    canvas.hidden = false;
    this.fit(width, height);
    ctx.setTransform(mirrored ? -1 : 1, 0, 0, 1, mirrored ? canvas.width : 0, 0);
    ctx.drawImage(source, 0, 0, canvas.width, canvas.height);
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    const scene = this.motion.at(performance.now(), this.held);
    if (scene) drawOverlay(ctx, scene, canvas.width, canvas.height, this.options());
  }

  /** As large as the stage allows, at the screen's own resolution. */
  private fit(width: number, height: number): void {
    const room = Math.min(this.stage.clientWidth / width, this.stage.clientHeight / height);
    const sharp = Math.min(room * devicePixelRatio, LONGEST_SIDE / Math.max(width, height));
    const [w, h] = [Math.max(1, Math.round(width * sharp)), Math.max(1, Math.round(height * sharp))];
    const { canvas } = this;
    if (!this.frozen && (canvas.width !== w || canvas.height !== h)) [canvas.width, canvas.height] = [w, h];
    this.stage.style.setProperty("--aspect", String(width / height));
    const [cssWidth, cssHeight] = [`${Math.floor(width * room)}px`, `${Math.floor(height * room)}px`];
    if (canvas.style.width !== cssWidth) canvas.style.width = cssWidth;
    if (canvas.style.height !== cssHeight) canvas.style.height = cssHeight;
  }
}
