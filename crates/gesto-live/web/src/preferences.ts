// What the person chose, kept in this browser.

import type { Way } from "./encoder";
import type { Hello, Settings } from "./protocol";

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

/** The settings among `wanted` that this server offers: it may be another one than the last time. */
export function offered(wanted: Partial<Settings>, { choices, settings }: Hello): Partial<Settings> {
  const kept = { ...wanted };
  const { size } = kept;
  if (size && !choices.sizes.some((each) => each[0] === size[0] && each[1] === size[1])) delete kept.size;
  if (kept.fit !== undefined && !choices.fits.includes(kept.fit)) delete kept.fit;
  if (kept.unit !== undefined && !choices.units.includes(kept.unit)) delete kept.unit;
  const resizes = choices.resizes[kept.unit ?? settings.unit] ?? [];
  if (kept.resize !== undefined && !resizes.includes(kept.resize)) delete kept.resize;
  return kept;
}
