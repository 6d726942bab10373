// Single-key shortcuts: never while a field or button that uses the key has the focus, and they can
// be switched off (WCAG 2.1.4).

export function onKeys(actions: Record<string, () => void>, enabled: () => boolean): void {
  document.addEventListener("keydown", (event) => {
    if (!enabled() || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const target = event.target as HTMLElement;
    if (target.closest("input, select, textarea, dialog, summary, [contenteditable]")) return;
    // Space presses the button that has the focus.
    if (event.key === " " && target.closest("button, a")) return;
    const action = actions[event.key === " " ? "Space" : event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

/** Arrow keys move within a toolbar, as the ARIA pattern asks; Tab leaves it. */
export function rovingFocus(toolbar: HTMLElement): void {
  const buttons = [...toolbar.querySelectorAll("button")];
  const choose = (chosen: HTMLButtonElement): void => {
    for (const button of buttons) button.tabIndex = button === chosen ? 0 : -1;
  };
  const [first] = buttons;
  if (first) choose(first);
  toolbar.addEventListener("focusin", (event) => {
    const index = buttons.indexOf(event.target as HTMLButtonElement);
    const button = buttons[index];
    if (button) choose(button);
    else first?.focus();
  });
  toolbar.addEventListener("keydown", (event) => {
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
    if (at < 0) return;
    const last = buttons.length - 1;
    const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    buttons[to]?.focus();
  });
}
