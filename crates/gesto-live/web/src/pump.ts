// Newest frame only: at most one frame is under way, and a camera picture that comes meanwhile is
// never queued. When the answer arrives the newest picture goes out at once.

import { Encoder, WayChooser } from "./encoder";
import type { Way } from "./encoder";
import { encodeFrame } from "./protocol";

/** A frame whose answer has not come by then is given up, so that one lost answer cannot stop the stream. */
const GIVE_UP_MS = 3000;

export interface Answer {
  roundTripMs: number;
  way: Way;
}

export class Pump {
  readonly chooser = new WayChooser();
  /** Camera pictures that were not sent because a frame was under way. */
  dropped = 0;
  private readonly encoder = new Encoder();
  private nextId = 1;
  private inFlight: { id: number; way: Way; startedAt: number } | null = null;
  private fresh = false;
  private callback = 0;
  private running = false;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly send: (message: ArrayBuffer) => boolean,
    private readonly options: () => { mirrored: boolean; size: readonly [number, number] },
    private readonly failed: (error: unknown) => void,
  ) {}

  start(): void {
    if (this.running) return;
    this.running = true;
    this.watch();
  }

  stop(): void {
    this.running = false;
    this.inFlight = null;
    this.fresh = false;
    if ("cancelVideoFrameCallback" in this.video) this.video.cancelVideoFrameCallback(this.callback);
    else cancelAnimationFrame(this.callback);
  }

  /** The connection was lost: nothing is under way any more. */
  forget(): void {
    this.inFlight = null;
  }

  /** The server answered frame `id`. Null when nobody waits for it any more. */
  answered(id: number): Answer | null {
    const flight = this.inFlight;
    if (!flight || flight.id !== id) return null;
    const now = performance.now();
    const roundTripMs = now - flight.startedAt;
    this.inFlight = null;
    this.chooser.measured(flight.way, roundTripMs, now);
    if (this.running && this.fresh) void this.capture();
    return { roundTripMs, way: flight.way };
  }

  private watch(): void {
    const onPicture = (): void => {
      if (!this.running) return;
      this.watch();
      const flight = this.inFlight;
      if (flight && performance.now() - flight.startedAt > GIVE_UP_MS) this.inFlight = null;
      if (this.inFlight) {
        // The picture before this one was never sent.
        if (this.fresh) this.dropped++;
        this.fresh = true;
      } else void this.capture();
    };
    // Once per camera picture where the browser tells, otherwise once per refresh of the screen.
    this.callback =
      "requestVideoFrameCallback" in this.video
        ? this.video.requestVideoFrameCallback(onPicture)
        : requestAnimationFrame(onPicture);
  }

  private async capture(): Promise<void> {
    this.fresh = false;
    const { mirrored, size } = this.options();
    const id = this.nextId++;
    const startedAt = performance.now();
    const way = this.chooser.next(startedAt);
    const flight = { id, way, startedAt };
    this.inFlight = flight;
    try {
      const encoded = await this.encoder.encode(this.video, mirrored, size, way);
      if (this.inFlight !== flight) return;
      if (!encoded || !this.running) {
        this.inFlight = null;
        return;
      }
      if (encoded.encoding !== way) this.chooser.failed(way);
      const sent = this.send(encodeFrame({ id, sentAt: startedAt, mirrored, ...encoded }));
      if (!sent) this.inFlight = null;
    } catch (error) {
      this.inFlight = null;
      this.chooser.failed(way);
      this.failed(error);
    }
  }
}
