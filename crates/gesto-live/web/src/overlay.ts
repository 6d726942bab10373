// Skeletons, boxes and gesture names over the picture.

import { Layout } from "./labels";
import type { Scene } from "./motion";
import { LIMBS, PART_COLOURS, gestureColour, ink } from "./palette";
import type { Box, Hand, Person } from "./protocol";

export function gestureLabel(name: string): string {
  return name.replaceAll("_", " ");
}

export interface OverlayOptions {
  gestures: readonly string[];
  /** Keypoints below this score are not drawn. */
  keypointScore: number;
  /** Parts of the picture that the page covers, in its shares (0 to 1): labels stay out of them. */
  covered: readonly Box[];
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
  const boxes = scene.hands.map(({ box }) => scaled(box, sx, sy));
  scene.hands.forEach((hand, i) => drawBox(ctx, boxes[i] as Box, unit, colourOf(hand, options.gestures)));
  // Labels lie on top, so that names are always readable.
  const covered = options.covered.map((box) => scaled(box, width, height));
  const layout = new Layout(width, height, 4 * unit, boxes, covered);
  scene.hands.forEach((hand, i) => drawLabel(ctx, layout, hand, boxes[i] as Box, unit, options.gestures));
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
    for (const [from, to, part] of LIMBS) {
      const a = keypoints[from];
      const b = keypoints[to];
      if (!a || !b || a.score < least || b.score < least) continue;
      ctx.strokeStyle = pass ?? PART_COLOURS[part];
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

const scaled = (box: Box, sx: number, sy: number): Box => ({ x: box.x * sx, y: box.y * sy, w: box.w * sx, h: box.h * sy });

const nameOf = (hand: Hand, gestures: readonly string[]): string => gestures[hand.gesture] ?? `class ${hand.gesture}`;

const colourOf = (hand: Hand, gestures: readonly string[]): string => gestureColour(hand.gesture, nameOf(hand, gestures));

function drawBox(ctx: CanvasRenderingContext2D, { x, y, w, h }: Box, unit: number, colour: string): void {
  ctx.beginPath();
  ctx.roundRect(x, y, w, h, Math.min(14 * unit, w / 4, h / 4));
  ctx.lineWidth = 5 * unit;
  ctx.strokeStyle = "rgb(0 0 0 / 40%)";
  ctx.stroke();
  ctx.lineWidth = 2.6 * unit;
  ctx.strokeStyle = colour;
  ctx.stroke();
}

/** A hand without a gesture has a box and no name: it stays in the background. */
function drawLabel(ctx: CanvasRenderingContext2D, layout: Layout, hand: Hand, box: Box, unit: number, gestures: readonly string[]): void {
  const name = nameOf(hand, gestures);
  if (name === "no_gesture") return;
  const colour = colourOf(hand, gestures);
  const size = 14 * unit;
  ctx.font = `650 ${size}px system-ui, "Segoe UI", "DejaVu Sans", sans-serif`;
  const text = `${gestureLabel(name)}  ${Math.round(hand.score * 100)}%`;
  const pad = 8 * unit;
  const place = layout.place(box, ctx.measureText(text).width + 2 * pad, size + 1.1 * pad);
  ctx.beginPath();
  ctx.roundRect(place.x, place.y, place.w, place.h, place.h / 2);
  ctx.fillStyle = colour;
  ctx.fill();
  ctx.fillStyle = ink(colour);
  ctx.textBaseline = "middle";
  ctx.fillText(text, place.x + pad, place.y + place.h / 2 + unit * 0.5);
}
