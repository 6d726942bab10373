/** The element of this id; its absence is a mistake in index.html. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element as T;
}

/** Fills a select with options of value and text, and chooses one. */
export function fillSelect(select: HTMLSelectElement, options: readonly (readonly [string, string])[], chosen: string): void {
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value, false, value === chosen)));
  const row = select.closest<HTMLElement>(".row");
  // A choice of one is no choice.
  if (row) row.hidden = options.length < 2;
}
