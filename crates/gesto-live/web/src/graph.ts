// A minute of round trip and frame rate on one small canvas.

const POINTS = 300;
const FLOORS = [20, 30];

export class Graph {
  private readonly series: (number | null)[][] = [[], []];

  constructor(private readonly canvas: HTMLCanvasElement) {}

  add(roundTrip: number | null, rate: number | null): void {
    [roundTrip, rate].forEach((value, i) => {
      const values = this.series[i];
      values?.push(value);
      if (values && values.length > POINTS) values.shift();
    });
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
    for (const part of [0.25, 0.5, 0.75]) {
      ctx.beginPath();
      ctx.moveTo(0, height * part);
      ctx.lineTo(width, height * part);
      ctx.stroke();
    }
    ["--second", "--accent"].forEach((colour, i) => {
      // The frame rate first: the round trip is what the eye looks for.
      const which = 1 - i;
      const values = this.series[which] ?? [];
      const top = 1.25 * Math.max(FLOORS[which] ?? 1, usual(values));
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
        const y = height * Math.max(0, 1 - value / top);
        if (drawing) ctx.lineTo(x, y);
        else ctx.moveTo(x, y);
        drawing = true;
      });
      ctx.stroke();
    });
  }
}

/** What nearly all values stay below: one hiccup must not flatten the rest. */
function usual(values: readonly (number | null)[]): number {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.97)] ?? 0;
}
