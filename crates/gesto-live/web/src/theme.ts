import type { Preferences } from "./preferences";

const NEXT = { system: "dark", dark: "light", light: "system" } as const;
const NAMES = { system: "as the system", dark: "dark", light: "light" } as const;

export function applyTheme(button: HTMLElement, theme: Preferences["theme"]): void {
  const root = document.documentElement;
  if (theme === "system") delete root.dataset["theme"];
  else root.dataset["theme"] = theme;
  button.setAttribute("aria-label", `Colour theme: ${NAMES[theme]}`);
  button.title = `Colour theme: ${NAMES[theme]}`;
}

export function nextTheme(theme: Preferences["theme"]): Preferences["theme"] {
  return NEXT[theme];
}
