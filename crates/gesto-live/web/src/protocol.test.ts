import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { decodeMessage, encodeFrame, encodeShown } from "./protocol";

// The server's tests write and read the same messages (tests/golden.rs).
const golden = JSON.parse(readFileSync(new URL("../../tests/golden/messages.json", import.meta.url), "utf8")) as Record<string, string>;

function bytes(name: string): ArrayBuffer {
  const hex = golden[name];
  if (hex === undefined) throw new Error(`no golden message ${name}`);
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)).buffer;
}

function hex(buffer: ArrayBuffer): string {
  return Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

describe("what the page sends", () => {
  it("is a frame as the server reads it", () => {
    const payload = Uint8Array.of(1, 2, 3, 4, 5, 6);
    const frame = { id: 7, sentAt: 1234.5, encoding: "rgb", mirrored: true, width: 2, height: 1, payload } as const;
    expect(hex(encodeFrame(frame))).toBe(golden["frame"]);
  });

  it("is a receipt as the server reads it", () => {
    expect(hex(encodeShown(0xfffffffe))).toBe(golden["shown"]);
  });
});

describe("what the server sends", () => {
  it("is a result", () => {
    const message = decodeMessage(bytes("result"));
    if (message.type !== "result") throw new Error(message.type);
    const { result } = message;
    expect(result).toMatchObject({ id: 9, sentAt: 55.25, width: 640, height: 480, mirrored: true, dropped: 3 });
    expect(result.timing).toEqual({ queue: 0.5, unpack: 1.5, resize: 0.25, model: 4, decode: 0.125, nms: 0.0625, total: 4.5, server: 7 });
    expect(result.hands).toEqual([{ gesture: 4, score: 0.75, box: { x: 10, y: 20.5, w: 30, h: 40 } }]);
    expect(result.people).toHaveLength(1);
    expect(result.people[0]?.score).toBe(0.5);
    expect(result.people[0]?.keypoints).toHaveLength(17);
    expect(result.people[0]?.keypoints[16]).toEqual({ x: 16, y: 32, score: 0.5 });
  });

  it("is a picture with its result", () => {
    const message = decodeMessage(bytes("picture"));
    if (message.type !== "picture") throw new Error(message.type);
    expect(message.result.hands).toHaveLength(1);
    expect([...message.jpeg]).toEqual([0xff, 0xd8, 0xff, 0xd9]);
  });

  it("is a word about a frame that was dropped or refused", () => {
    expect(decodeMessage(bytes("dropped"))).toEqual({ type: "dropped", id: 9, sentAt: 55.25, reason: "rate" });
    expect(decodeMessage(bytes("refused"))).toEqual({ type: "refused", id: 9, sentAt: 55.25, message: "not a picture" });
  });

  it("is never anything else", () => {
    for (const wrong of [[], [2, 0x81], [1, 0x55, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [1, 0x81, 0, 0]]) {
      expect(() => decodeMessage(Uint8Array.from(wrong).buffer)).toThrow();
    }
    const cut = bytes("result").slice(0, 100);
    expect(() => decodeMessage(cut)).toThrow();
  });
});
