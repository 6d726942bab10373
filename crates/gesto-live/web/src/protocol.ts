// The binary protocol of /v1/stream, version 1. docs/live-protocol.md is its description;
// protocol.test.ts and the server's tests read the same golden messages.

export const VERSION = 1;
export const SUBPROTOCOL = "gesto.v1";

export const FRAME = 0x01;
export const SHOWN = 0x02;
export const RESULT = 0x81;
export const DROPPED = 0x82;
export const REFUSED = 0x83;
export const PICTURE = 0x84;

export const FRAME_HEADER = 24;
const RESULT_HEADER = 64;
const HAND_BYTES = 24;
const PERSON_BYTES = 20;
const KEYPOINT_BYTES = 12;

/** How a frame's pixels are written after its header. */
export const Encoding = { jpeg: 1, webp: 2, png: 3, rgb: 16, rgba: 17 } as const;
export type EncodingName = keyof typeof Encoding;

const MIRRORED = 1;

export interface FrameMessage {
  id: number;
  /** The sender's clock in milliseconds; comes back untouched with the result. */
  sentAt: number;
  encoding: EncodingName;
  /** The pixels are a mirror image; the server turns them back before it tells left from right. */
  mirrored: boolean;
  width: number;
  height: number;
  payload: Uint8Array;
}

/** Left, top, width, height in pixels of the frame that was sent. */
export interface Box {
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface Hand {
  gesture: number;
  score: number;
  box: Box;
}

export interface Keypoint {
  x: number;
  y: number;
  score: number;
}

export interface Person {
  score: number;
  box: Box;
  keypoints: Keypoint[];
}

/** Milliseconds of each stage of one frame; queue is the wait before decode began. */
export interface Timing {
  queue: number;
  unpack: number;
  resize: number;
  model: number;
  decode: number;
  nms: number;
  total: number;
  server: number;
}

export interface Result {
  id: number;
  sentAt: number;
  width: number;
  height: number;
  mirrored: boolean;
  /** Frames that the server dropped since the result before this one. */
  dropped: number;
  timing: Timing;
  hands: Hand[];
  people: Person[];
}

export type ServerMessage =
  | { type: "result"; result: Result }
  | { type: "picture"; result: Result; jpeg: Uint8Array }
  | { type: "dropped"; id: number; sentAt: number; reason: DropReason }
  | { type: "refused"; id: number; sentAt: number; message: string };

export type DropReason = "newer" | "rate" | "busy" | "unknown";
const DROP_REASONS: readonly DropReason[] = ["unknown", "newer", "rate", "busy"];

export function encodeFrame(frame: FrameMessage): ArrayBuffer {
  const buffer = new ArrayBuffer(FRAME_HEADER + frame.payload.byteLength);
  const view = new DataView(buffer);
  view.setUint8(0, VERSION);
  view.setUint8(1, FRAME);
  view.setUint8(2, Encoding[frame.encoding]);
  view.setUint8(3, frame.mirrored ? MIRRORED : 0);
  view.setUint32(4, frame.id, true);
  view.setFloat64(8, frame.sentAt, true);
  view.setUint32(16, frame.width, true);
  view.setUint32(20, frame.height, true);
  new Uint8Array(buffer, FRAME_HEADER).set(frame.payload);
  return buffer;
}

/** Tells the server that a picture has been drawn, so that it sends the next one. */
export function encodeShown(id: number): ArrayBuffer {
  const buffer = new ArrayBuffer(8);
  const view = new DataView(buffer);
  view.setUint8(0, VERSION);
  view.setUint8(1, SHOWN);
  view.setUint32(4, id, true);
  return buffer;
}

/** Reads one binary message of the server; throws RangeError or Error when it is not of this version. */
export function decodeMessage(buffer: ArrayBuffer): ServerMessage {
  const view = new DataView(buffer);
  if (view.getUint8(0) !== VERSION) throw new Error(`protocol version ${view.getUint8(0)}, not ${VERSION}`);
  const kind = view.getUint8(1);
  const id = view.getUint32(4, true);
  const sentAt = view.getFloat64(8, true);
  switch (kind) {
    case RESULT:
      return { type: "result", result: decodeResult(view).result };
    case PICTURE: {
      const { result, end } = decodeResult(view);
      return { type: "picture", result, jpeg: new Uint8Array(buffer, end) };
    }
    case DROPPED:
      return { type: "dropped", id, sentAt, reason: DROP_REASONS[view.getUint8(2)] ?? "unknown" };
    case REFUSED:
      return { type: "refused", id, sentAt, message: new TextDecoder().decode(new Uint8Array(buffer, 16)) };
    default:
      throw new Error(`unknown message type ${kind}`);
  }
}

function decodeResult(view: DataView): { result: Result; end: number } {
  const f32 = (at: number): number => view.getFloat32(at, true);
  const box = (at: number): Box => ({ x: f32(at), y: f32(at + 4), w: f32(at + 8), h: f32(at + 12) });
  const handCount = view.getUint16(56, true);
  const personCount = view.getUint16(58, true);
  const keypointCount = view.getUint16(60, true);
  let at = RESULT_HEADER;
  const hands: Hand[] = [];
  for (let i = 0; i < handCount; i++, at += HAND_BYTES) {
    hands.push({ gesture: view.getUint16(at, true), score: f32(at + 4), box: box(at + 8) });
  }
  const people: Person[] = [];
  for (let i = 0; i < personCount; i++) {
    const person: Person = { score: f32(at), box: box(at + 4), keypoints: [] };
    at += PERSON_BYTES;
    for (let k = 0; k < keypointCount; k++, at += KEYPOINT_BYTES) {
      person.keypoints.push({ x: f32(at), y: f32(at + 4), score: f32(at + 8) });
    }
    people.push(person);
  }
  const result: Result = {
    id: view.getUint32(4, true),
    sentAt: view.getFloat64(8, true),
    mirrored: (view.getUint8(3) & MIRRORED) !== 0,
    width: view.getUint32(16, true),
    height: view.getUint32(20, true),
    dropped: view.getUint16(62, true),
    timing: {
      queue: f32(24),
      unpack: f32(28),
      resize: f32(32),
      model: f32(36),
      decode: f32(40),
      nms: f32(44),
      total: f32(48),
      server: f32(52),
    },
    hands,
    people,
  };
  return { result, end: at };
}

/** The settings of a stream, as the server's text messages carry them. */
export interface Settings {
  /** Height and width of the network's input. */
  size: [number, number];
  fit: string;
  resize: string;
  unit: string;
  hands: boolean;
  body: boolean;
  conf_hand: number;
  conf_body: number;
  iou_hand: number;
  iou_body: number;
}

export interface Hello {
  type: "hello";
  protocol: number;
  server: string;
  stream: number;
  mode: "browser" | "source";
  source?: string;
  gestures: string[];
  keypoints: string[];
  choices: {
    sizes: [number, number][];
    fits: string[];
    units: string[];
    /** For each unit, its default first. */
    resizes: Record<string, string[]>;
    /** What this machine lacks: names and reasons; resizes for each unit. */
    missing: { units: Record<string, string>; resizes: Record<string, Record<string, string>> };
  };
  limits: { message_bytes: number; pixels: number; fps: number };
  settings: Settings;
}

export type TextMessage =
  | Hello
  | { type: "settings"; settings: Settings }
  | { type: "source"; state: "connecting" | "playing" | "lost"; message: string }
  | { type: "error"; kind: string; message: string };
