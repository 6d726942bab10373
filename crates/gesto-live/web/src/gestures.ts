// The gestures in the picture as chips, and as words for screen readers.

import { byId } from "./dom";
import { gestureLabel } from "./overlay";
import { gestureColour } from "./palette";
import type { Box, Result } from "./protocol";

/** A gesture has to stay this long before it is spoken: results flicker. */
const SPEAK_AFTER_MS = 600;
/** One missed frame must not make a chip blink. */
const KEEP_MS = 300;

interface Seen {
  index: number;
  score: number;
  firstAt: number;
  lastAt: number;
}

export class Gestures {
  private readonly chips = byId("chips");
  private readonly spoken = byId("spoken");
  private readonly seen = new Map<string, Seen>();
  private lastSpoken = "";

  update(result: Result, names: readonly string[], speak: boolean): void {
    const now = performance.now();
    for (const hand of result.hands) {
      const name = names[hand.gesture] ?? `class ${hand.gesture}`;
      if (name === "no_gesture") continue;
      const before = this.seen.get(name);
      // Two hands with one gesture share a chip; its score is the better one's.
      const score = before && before.lastAt === now ? Math.max(before.score, hand.score) : hand.score;
      this.seen.set(name, { index: hand.gesture, score, firstAt: before?.firstAt ?? now, lastAt: now });
    }
    for (const [name, seen] of this.seen) if (now - seen.lastAt > KEEP_MS) this.seen.delete(name);
    this.drawChips();
    if (speak) this.speak(result.people.length, now);
  }

  /** Where the chips lie over `view`, in its shares. */
  over(view: Element): Box[] {
    if (this.seen.size === 0) return [];
    const room = view.getBoundingClientRect();
    if (room.width === 0 || room.height === 0) return [];
    return [...this.chips.children].map((chip) => {
      const { left, top, width, height } = chip.getBoundingClientRect();
      return { x: (left - room.left) / room.width, y: (top - room.top) / room.height, w: width / room.width, h: height / room.height };
    });
  }

  clear(): void {
    this.seen.clear();
    this.drawChips();
  }

  private drawChips(): void {
    for (const chip of [...this.chips.children]) {
      if (!this.seen.has((chip as HTMLElement).dataset["gesture"] ?? "")) chip.remove();
    }
    for (const [name, { index, score }] of this.seen) {
      let chip = this.chips.querySelector<HTMLElement>(`[data-gesture="${CSS.escape(name)}"]`);
      if (!chip) {
        chip = document.createElement("li");
        chip.dataset["gesture"] = name;
        chip.style.setProperty("--chip", gestureColour(index, name));
        chip.append(gestureLabel(name), document.createElement("small"));
        this.chips.append(chip);
      }
      (chip.lastElementChild as HTMLElement).textContent = `${Math.round(score * 100)}%`;
    }
  }

  private speak(people: number, now: number): void {
    const steady = [...this.seen].filter(([, seen]) => now - seen.firstAt >= SPEAK_AFTER_MS).map(([name]) => gestureLabel(name));
    const text = steady.sort().join(", ");
    if (text === this.lastSpoken) return;
    this.lastSpoken = text;
    const crowd = people === 1 ? "1 person" : `${people} people`;
    this.spoken.textContent = text ? `${text}, ${crowd}` : "no gesture";
  }
}
