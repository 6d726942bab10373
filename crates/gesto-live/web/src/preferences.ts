// What the person chose, kept in this browser.

import type { Way } from "./encoder";
import type { Settings } from "./protocol";

export interface Preferences {
  theme: "system" | "dark" | "light";
  /** A camera that faces the person is shown like a mirror; one that faces away, and the server's source, as it is. */
  mirrored: { browser: boolean; away?: boolean; source: boolean };
  panel: boolean;
  shortcuts: boolean;
  speak: boolean;
  camera: string;
  way: Way | "";
  keypointScore: number;
  /** Only what was changed; the rest is the server's. */
  settings: Partial<Settings>;
}

const KEY = "gesto-live";
const DEFAULTS: Preferences = {
  theme: "system",
  mirrored: { browser: true, source: false },
  panel: true,
  shortcuts: true,
  speak: true,
  camera: "",
  way: "",
  keypointScore: 0.5,
  settings: {},
};

export function load(): Preferences {
  try {
    return { ...DEFAULTS, ...(JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Preferences>) };
  } catch {
    // Storage may be forbidden, or hold something else's text.
    return { ...DEFAULTS };
  }
}

export function save(preferences: Preferences): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(preferences));
  } catch {
    // A full or forbidden storage only means that choices last as long as the page.
  }
}
