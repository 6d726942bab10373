// Snapshot (PNG + JSON) and recording (WebM + JSON lines).

import type { Hello, Result } from "./protocol";

/** One result in the shape of the program's JSON lines (docs/json.md); pixels of the frame that was sent. */
export function toRecord(result: Result, hello: Hello, source: string, timestampMs: number): object {
  const round = (value: number, digits: number): number => Number(value.toFixed(digits));
  const box = ({ x, y, w, h }: { x: number; y: number; w: number; h: number }): number[] =>
    [x, y, w, h].map((value) => round(value, 2));
  return {
    source,
    frame: result.id,
    timestamp_ms: round(timestampMs, 1),
    width: result.width,
    height: result.height,
    hands: result.hands.map((hand) => ({
      gesture: hello.gestures[hand.gesture] ?? `class ${hand.gesture}`,
      score: round(hand.score, 4),
      box: box(hand.box),
    })),
    people: result.people.map((person) => ({
      score: round(person.score, 4),
      box: box(person.box),
      keypoints: person.keypoints.map((point, i) => ({
        name: hello.keypoints[i] ?? String(i),
        x: round(point.x, 2),
        y: round(point.y, 2),
        score: round(point.score, 4),
      })),
    })),
    timing_ms: {
      resize: round(result.timing.resize, 3),
      model: round(result.timing.model, 3),
      decode: round(result.timing.decode, 3),
      nms: round(result.timing.nms, 3),
      total: round(result.timing.total, 3),
    },
  };
}

export function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser reads the blob after the click returns.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** A name that sorts by time: gesto-2026-11-23T17-05-09. */
export function fileStem(date: Date): string {
  const local = new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
  return `gesto-${local.toISOString().slice(0, 19).replaceAll(":", "-")}`;
}

export async function snapshot(canvas: HTMLCanvasElement, record: object): Promise<string> {
  const stem = fileStem(new Date());
  const picture = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
  if (!picture) throw new Error("the browser could not write a PNG");
  download(picture, `${stem}.png`);
  download(new Blob([`${JSON.stringify(record, null, 2)}\n`], { type: "application/json" }), `${stem}.json`);
  return stem;
}

const TYPES = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm", "video/mp4"];
const FRAMES_PER_SECOND = 30;
const BITS_PER_SECOND = 6_000_000;

export class Recorder {
  private recorder: MediaRecorder | null = null;
  private lines: string[] = [];
  private startedAt = 0;

  get isOn(): boolean {
    return this.recorder !== null;
  }

  get seconds(): number {
    return this.isOn ? (performance.now() - this.startedAt) / 1000 : 0;
  }

  /** Records what `canvas` shows. Throws when the browser cannot. */
  start(canvas: HTMLCanvasElement, finished: (stem: string) => void): void {
    if (typeof MediaRecorder === "undefined") throw new Error("this browser cannot record");
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    if (!mimeType) throw new Error("this browser cannot record");
    const stream = canvas.captureStream(FRAMES_PER_SECOND);
    const recorder = new MediaRecorder(stream, { mimeType, videoBitsPerSecond: BITS_PER_SECOND });
    const chunks: Blob[] = [];
    recorder.ondataavailable = (event) => {
      if (event.data.size > 0) chunks.push(event.data);
    };
    recorder.onstop = () => {
      for (const track of stream.getTracks()) track.stop();
      const stem = fileStem(new Date());
      const ending = mimeType.startsWith("video/mp4") ? "mp4" : "webm";
      download(new Blob(chunks, { type: mimeType }), `${stem}.${ending}`);
      download(new Blob([this.lines.join("")], { type: "application/x-ndjson" }), `${stem}.jsonl`);
      this.lines = [];
      finished(stem);
    };
    this.lines = [];
    this.startedAt = performance.now();
    this.recorder = recorder;
    recorder.start(1000);
  }

  /** Keeps one result; `record` is called with the time since the recording began. */
  add(record: (timestampMs: number) => object): void {
    if (this.isOn) this.lines.push(`${JSON.stringify(record(performance.now() - this.startedAt))}\n`);
  }

  stop(): void {
    this.recorder?.stop();
    this.recorder = null;
  }
}
