// Skeletons, boxes and gesture names over the picture.

import type { Scene } from "./motion";
import type { Hand, Person } from "./protocol";

/** Limbs of COCO's 17 keypoints (arXiv:1405.0312) and the side they belong to. */
const LIMBS: readonly (readonly [number, number, Side])[] = [
  [15, 13, "left"], [13, 11, "left"], [16, 14, "right"], [14, 12, "right"], [11, 12, "trunk"],
  [5, 11, "trunk"], [6, 12, "trunk"], [5, 6, "trunk"], [5, 7, "left"], [6, 8, "right"],
  [7, 9, "left"], [8, 10, "right"], [1, 2, "head"], [0, 1, "head"], [0, 2, "head"],
  [1, 3, "head"], [2, 4, "head"], [3, 5, "head"], [4, 6, "head"],
];
type Side = "left" | "right" | "trunk" | "head";
const SIDE_COLOURS: Record<Side, string> = { left: "#35d6a6", right: "#ff8f5a", trunk: "#7db7ff", head: "#e9a6ff" };
/** A hand that makes no gesture stays in the background. */
const QUIET = "#a9b6b2";

/** A colour per gesture, spread over the hues so that neighbours in the list differ. */
export function gestureColour(index: number, name: string): string {
  if (name === "no_gesture") return QUIET;
  return `hsl(${Math.round((index * 137.508 + 150) % 360)} 85% 68%)`;
}

export function gestureLabel(name: string): string {
  return name.replaceAll("_", " ");
}

export interface OverlayOptions {
  gestures: readonly string[];
  /** Keypoints below this score are not drawn. */
  keypointScore: number;
}

/** Draws `scene` on a canvas of `width` x `height`, whose picture fills it. */
export function drawOverlay(ctx: CanvasRenderingContext2D, scene: Scene, width: number, height: number, options: OverlayOptions): void {
  const sx = width / scene.width;
  const sy = height / scene.height;
  const unit = Math.max(1, Math.min(width, height) / 360);
  ctx.save();
  ctx.globalAlpha = scene.opacity;
  ctx.lineCap = ctx.lineJoin = "round";
  for (const person of scene.people) drawPerson(ctx, person, sx, sy, unit, options.keypointScore);
  for (const hand of scene.hands) drawHand(ctx, hand, sx, sy, unit, width, options.gestures);
  ctx.restore();
}

function drawPerson(ctx: CanvasRenderingContext2D, person: Person, sx: number, sy: number, unit: number, least: number): void {
  const { box, keypoints } = person;
  ctx.lineWidth = 1.2 * unit;
  ctx.strokeStyle = "rgb(255 255 255 / 38%)";
  ctx.beginPath();
  ctx.roundRect(box.x * sx, box.y * sy, box.w * sx, box.h * sy, 12 * unit);
  ctx.stroke();
  // Twice: a dark line below keeps the colours legible on any picture.
  for (const pass of ["rgb(0 0 0 / 45%)", null]) {
    ctx.lineWidth = (pass ? 5 : 3) * unit;
    for (const [from, to, side] of LIMBS) {
      const a = keypoints[from];
      const b = keypoints[to];
      if (!a || !b || a.score < least || b.score < least) continue;
      ctx.strokeStyle = pass ?? SIDE_COLOURS[side];
      ctx.beginPath();
      ctx.moveTo(a.x * sx, a.y * sy);
      ctx.lineTo(b.x * sx, b.y * sy);
      ctx.stroke();
    }
  }
  for (const point of keypoints) {
    if (point.score < least) continue;
    ctx.beginPath();
    ctx.arc(point.x * sx, point.y * sy, 3.4 * unit, 0, 2 * Math.PI);
    ctx.fillStyle = "#fff";
    ctx.fill();
    ctx.lineWidth = unit;
    ctx.strokeStyle = "rgb(0 0 0 / 55%)";
    ctx.stroke();
  }
}

function drawHand(ctx: CanvasRenderingContext2D, hand: Hand, sx: number, sy: number, unit: number, width: number, gestures: readonly string[]): void {
  const name = gestures[hand.gesture] ?? `class ${hand.gesture}`;
  const colour = gestureColour(hand.gesture, name);
  const [x, y, w, h] = [hand.box.x * sx, hand.box.y * sy, hand.box.w * sx, hand.box.h * sy];
  ctx.beginPath();
  ctx.roundRect(x, y, w, h, Math.min(14 * unit, w / 4, h / 4));
  ctx.lineWidth = 5 * unit;
  ctx.strokeStyle = "rgb(0 0 0 / 40%)";
  ctx.stroke();
  ctx.lineWidth = 2.6 * unit;
  ctx.strokeStyle = colour;
  ctx.stroke();
  if (name === "no_gesture") return;

  const size = 14 * unit;
  ctx.font = `650 ${size}px system-ui, "Segoe UI", "DejaVu Sans", sans-serif`;
  const text = `${gestureLabel(name)}  ${Math.round(hand.score * 100)}%`;
  const pad = 8 * unit;
  const wide = ctx.measureText(text).width + 2 * pad;
  const tall = size + 1.1 * pad;
  // Above the box where there is room, else inside; always within the picture's width.
  const left = Math.max(2, Math.min(x, width - wide - 2));
  const top = y - tall - 4 * unit >= 0 ? y - tall - 4 * unit : y + 4 * unit;
  ctx.beginPath();
  ctx.roundRect(left, top, wide, tall, tall / 2);
  ctx.fillStyle = colour;
  ctx.fill();
  ctx.fillStyle = "#0a0f0d";
  ctx.textBaseline = "middle";
  ctx.fillText(text, left + pad, top + tall / 2 + unit * 0.5);
}
