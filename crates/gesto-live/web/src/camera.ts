// The webcam: asking for it, naming what went wrong, and following a change of device.

export type CameraProblem = "insecure" | "refused" | "none" | "busy" | "failed";

export class CameraError extends Error {
  constructor(
    readonly problem: CameraProblem,
    message: string,
  ) {
    super(message);
  }
}

export class Camera {
  private stream: MediaStream | null = null;

  constructor(
    readonly video: HTMLVideoElement,
    private readonly ended: () => void,
  ) {}

  get deviceId(): string {
    return this.stream?.getVideoTracks()[0]?.getSettings().deviceId ?? "";
  }

  /** A phone's camera on the back. */
  get facesAway(): boolean {
    return this.stream?.getVideoTracks()[0]?.getSettings().facingMode === "environment";
  }

  get isOn(): boolean {
    return this.stream !== null;
  }

  /** Starts the given camera, or the browser's choice. Throws CameraError. */
  async start(deviceId?: string): Promise<void> {
    // Outside https and localhost the browser hides the whole interface.
    const media = navigator.mediaDevices as MediaDevices | undefined;
    if (!media) throw new CameraError("insecure", "Cameras need https or localhost.");
    this.stop();
    try {
      this.stream = await media.getUserMedia({
        audio: false,
        video: {
          width: { ideal: 640 },
          height: { ideal: 480 },
          frameRate: { ideal: 60 },
          ...(deviceId ? { deviceId: { exact: deviceId } } : { facingMode: "user" }),
        },
      });
    } catch (error) {
      // The remembered camera may have been unplugged since.
      if (deviceId && error instanceof DOMException && error.name === "OverconstrainedError") return this.start();
      throw problemOf(error);
    }
    const track = this.stream.getVideoTracks()[0];
    track?.addEventListener("ended", () => {
      this.stop();
      this.ended();
    });
    this.video.srcObject = this.stream;
    await this.video.play();
  }

  stop(): void {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
  }

  /** Cameras with their names; names are empty until permission was given. */
  static async list(): Promise<{ id: string; label: string }[]> {
    const media = navigator.mediaDevices as MediaDevices | undefined;
    if (!media) return [];
    const devices = await media.enumerateDevices();
    return devices
      .filter((device) => device.kind === "videoinput" && device.deviceId !== "")
      .map((device, index) => ({ id: device.deviceId, label: device.label || `Camera ${index + 1}` }));
  }
}

function problemOf(error: unknown): CameraError {
  const name = error instanceof DOMException ? error.name : "";
  const text = error instanceof Error ? error.message : String(error);
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return new CameraError("refused", text);
    case "NotFoundError":
    case "OverconstrainedError":
      return new CameraError("none", text);
    case "NotReadableError":
    case "AbortError":
      return new CameraError("busy", text);
    default:
      return new CameraError("failed", text);
  }
}
