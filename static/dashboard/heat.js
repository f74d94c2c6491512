// Heat: shades a value by the fifth of all values that it is in. The numbers stay readable without it.

const SHADED = ["cost", "ms"];
const EVERY_MS = 500;

/** Returns the four values that divide the column into fifths. */
export function fifths(column) {
  const sorted = Float64Array.from(column.filter((value) => value > 0)).sort();
  return [1, 2, 3, 4].map((fifth) => sorted[Math.floor((fifth * sorted.length) / 5)] ?? Infinity);
}

/** Returns the fifth that a value is in, 0 to 4. */
export function heat(value, fifths) {
  if (value === null || fifths[0] === fifths[3]) return 0;
  return fifths.filter((edge) => value >= edge).length;
}

/** Shades the cells of a table body that have `data-cost` or `data-ms`. */
export function shade(body) {
  for (const name of SHADED) {
    const cells = [...body.querySelectorAll(`td[data-${name}]`)];
    const values = cells.map((cell) => (cell.dataset[name] === "" ? null : Number(cell.dataset[name])));
    const edges = fifths(values);
    cells.forEach((cell, at) => (cell.dataset.heat = heat(values[at], edges)));
  }
}

/** Shades the cells now, and again whenever rows are added or removed. */
export function keepShaded(body) {
  let due = null;
  const again = () => {
    due = null;
    shade(body);
  };
  new MutationObserver(() => (due ??= setTimeout(again, EVERY_MS))).observe(body, { childList: true });
  shade(body);
}
