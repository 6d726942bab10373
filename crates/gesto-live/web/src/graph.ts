// A minute of round trip and frame rate on one small canvas, each from 0 to a top of its own.

const POINTS = 300;
/** Tops that a scale may have: numbers that can be read at a glance. */
const TOPS = [10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 120, 150, 200, 250, 300, 400, 500, 800, 1000, 1500, 2000, 3000, 5000, 10_000];
const UNITS = ["ms", "/s"];
/** Height of the scales' figures in CSS pixels. */
const TEXT = 11;

export class Graph {
  private readonly series: (number | null)[][] = [[], []];

  /** `maxima` are told the largest value of each series in the minute. */
  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly maxima: readonly [HTMLElement, HTMLElement],
  ) {}

  add(roundTrip: number | null, rate: number | null): void {
    [roundTrip, rate].forEach((value, i) => {
      const values = this.series[i];
      values?.push(value);
      if (values && values.length > POINTS) values.shift();
    });
    this.maxima.forEach((element, i) => (element.textContent = largest(this.series[i] ?? [])));
    this.draw();
  }

  private draw(): void {
    const { canvas } = this;
    const scale = devicePixelRatio;
    const width = Math.round(canvas.clientWidth * scale);
    const height = Math.round(canvas.clientHeight * scale);
    const ctx = canvas.getContext("2d");
    if (!ctx || width === 0) return;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    ctx.clearRect(0, 0, width, height);
    const style = getComputedStyle(canvas);
    ctx.strokeStyle = style.getPropertyValue("--line");
    ctx.lineWidth = 1;
    // The scales' figures stand above the curves, on the line that they name.
    const head = (TEXT + 8) * scale;
    const down = (part: number): number => head + (height - head) * part;
    for (const part of [0, 0.25, 0.5, 0.75]) {
      ctx.beginPath();
      ctx.moveTo(0, down(part));
      ctx.lineTo(width, down(part));
      ctx.stroke();
    }
    ["--second", "--accent"].forEach((colour, i) => {
      // The frame rate first: the round trip is what the eye looks for.
      const which = 1 - i;
      const values = this.series[which] ?? [];
      const top = topFor(usual(values));
      ctx.strokeStyle = style.getPropertyValue(colour);
      ctx.lineWidth = 1.6 * scale;
      ctx.lineJoin = "round";
      ctx.beginPath();
      let drawing = false;
      values.forEach((value, at) => {
        if (value === null) {
          drawing = false;
          return;
        }
        const x = ((POINTS - values.length + at) / (POINTS - 1)) * width;
        const y = down(Math.max(0, 1 - value / top));
        if (drawing) ctx.lineTo(x, y);
        else ctx.moveTo(x, y);
        drawing = true;
      });
      ctx.stroke();
      // The scale's end in its curve's colour: the round trip's on the left, the frame rate's on the right.
      ctx.font = `600 ${TEXT * scale}px ${style.fontFamily}`;
      ctx.textAlign = which === 0 ? "left" : "right";
      ctx.textBaseline = "top";
      ctx.fillStyle = style.getPropertyValue(colour);
      ctx.fillText(`${top} ${UNITS[which]}`, which === 0 ? 6 * scale : width - 6 * scale, 5 * scale);
    });
  }
}

/** The smallest readable top with some air above `value`. */
export function topFor(value: number): number {
  return TOPS.find((top) => top >= 1.15 * value && top >= 20) ?? Math.ceil(value);
}

export function largest(values: readonly (number | null)[]): string {
  const most = values.reduce<number>((most, value) => Math.max(most, value ?? 0), 0);
  return most === 0 ? "–" : most.toFixed(most < 10 ? 1 : 0);
}

/** What nearly all values stay below: one hiccup must not flatten the rest. */
function usual(values: readonly (number | null)[]): number {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.97)] ?? 0;
}
