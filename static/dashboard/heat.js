// Heat: which fifth of all values one value is in. Numbers remain: colour alone says nothing.

const SHADED = ["cost", "ms"];
const EVERY_MS = 500;

/** The four values that part all of them into fifths. */
export function fifths(column) {
  const sorted = Float64Array.from(column.filter((value) => value > 0)).sort();
  return [1, 2, 3, 4].map((fifth) => sorted[Math.floor((fifth * sorted.length) / 5)] ?? Infinity);
}

/** 0 to 4: the fifth in which this value is. */
export function heat(value, fifths) {
  if (value === null || fifths[0] === fifths[3]) return 0;
  return fifths.filter((edge) => value >= edge).length;
}

/** Shades the cells of a table's rows that have `data-cost` or `data-ms`, among those of the table. */
export function shade(body) {
  for (const name of SHADED) {
    const cells = [...body.querySelectorAll(`td[data-${name}]`)];
    const values = cells.map((cell) => (cell.dataset[name] === "" ? null : Number(cell.dataset[name])));
    const edges = fifths(values);
    cells.forEach((cell, at) => (cell.dataset.heat = heat(values[at], edges)));
  }
}

/** Shades them, and again when rows come or go. */
export function keepShaded(body) {
  let due = null;
  const again = () => {
    due = null;
    shade(body);
  };
  new MutationObserver(() => (due ??= setTimeout(again, EVERY_MS))).observe(body, { childList: true });
  shade(body);
}
