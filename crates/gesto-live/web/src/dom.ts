/** The element of this id; its absence is a mistake in index.html. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element as T;
}

/** A choice that cannot be made here, and why. */
export interface Missing {
  text: string;
  reason: string;
}

/** Fills a select with options of value and text, and chooses one; what is missing follows, greyed out. */
export function fillSelect(
  select: HTMLSelectElement,
  options: readonly (readonly [string, string])[],
  chosen: string,
  missing: readonly Missing[] = [],
): void {
  const greyed = missing.map(({ text, reason }) => {
    const option = new Option(`${text} (not here)`);
    option.disabled = true;
    option.title = reason;
    return option;
  });
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value, false, value === chosen)), ...greyed);
  const row = select.closest<HTMLElement>(".row");
  // A choice of one is no choice.
  if (row) row.hidden = options.length + greyed.length < 2;
}
