// The seed's panel: fps of every stage, each an exponential average; beside it round trip and drops.

import { Average, Rate, fpsOf } from "./average";
import { Graph } from "./graph";
import type { Timing } from "./protocol";

const STAGES = [
  { key: "total", name: "all" },
  { key: "resize", name: "resize" },
  { key: "model", name: "model" },
  { key: "decode", name: "post-processing" },
  { key: "nms", name: "NMS" },
] as const satisfies readonly { key: keyof Timing; name: string }[];

/** Figures that change sixty times a second cannot be read. */
const REFRESH_MS = 200;

/** A stage without a time of its own: the fused resize happens inside the network's first layer. */
const WITHIN = "in model";

interface Line {
  fps: Average;
  ms: Average;
  hud: HTMLElement;
  msCell: HTMLElement;
  fpsCell: HTMLElement;
  within: boolean;
}

export class Panel {
  readonly roundTrip = new Average();
  private readonly shown = new Rate();
  private readonly lines = new Map<keyof Timing, Line>();
  private readonly graph: Graph;
  private lastTrip: number | null = null;
  private drops = 0;

  constructor(
    hud: HTMLElement,
    table: HTMLElement,
    graph: HTMLCanvasElement,
    private readonly figures: { shown: HTMLElement; trip: HTMLElement; dropped: HTMLElement; maxima: readonly [HTMLElement, HTMLElement] },
  ) {
    this.graph = new Graph(graph, figures.maxima);
    for (const { key, name } of STAGES) {
      const term = document.createElement("dt");
      const value = document.createElement("dd");
      value.dataset["stage"] = name;
      if (key === "total") value.className = "all";
      term.textContent = name;
      value.textContent = "–";
      hud.append(term, value);

      const row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = name;
      const [msCell, fpsCell] = [document.createElement("td"), document.createElement("td")];
      msCell.textContent = fpsCell.textContent = "–";
      row.append(head, msCell, fpsCell);
      table.append(row);
      this.lines.set(key, { fps: new Average(), ms: new Average(), hud: value, msCell, fpsCell, within: false });
    }
    setInterval(() => this.refresh(), REFRESH_MS);
  }

  result(timing: Timing, roundTripMs: number | null): void {
    for (const [key, line] of this.lines) {
      line.within = timing[key] === 0;
      if (line.within) continue;
      line.fps.add(fpsOf(timing[key]));
      line.ms.add(timing[key]);
    }
    if (roundTripMs !== null) {
      this.roundTrip.add(roundTripMs);
      this.lastTrip = roundTripMs;
    }
    this.shown.add(performance.now());
  }

  dropped(total: number): void {
    this.drops = total;
  }

  /** Averages of another size or unit would mislead for a while. */
  reset(): void {
    for (const line of this.lines.values()) {
      line.within = false;
      line.fps.reset();
      line.ms.reset();
    }
    this.roundTrip.reset();
  }

  private refresh(): void {
    for (const line of this.lines.values()) {
      line.hud.textContent = line.fpsCell.textContent = line.within ? WITHIN : short(line.fps.value);
      line.msCell.textContent = line.within || line.ms.value === undefined ? "–" : line.ms.value.toFixed(line.ms.value < 0.1 ? 3 : 2);
    }
    const rate = this.shown.perSecond(performance.now());
    this.figures.shown.textContent = rate > 0 ? String(rate) : "–";
    const trip = this.roundTrip.value;
    this.figures.trip.textContent = trip === undefined ? "–" : trip.toFixed(trip < 100 ? 1 : 0);
    this.figures.dropped.textContent = short(this.drops);
    // Results may come more slowly than the graph moves on; a second without any is a gap.
    this.graph.add(rate > 0 ? this.lastTrip : null, rate > 0 ? rate : null);
  }
}

/** Four figures at most: 93, 1240, 26k, 1.2M. */
function short(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return "–";
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)}M`;
  if (value >= 1e4) return `${Math.round(value / 1e3)}k`;
  return String(Math.round(value));
}
