// The format of numbers, as in reports/dashboard/formats.py. An unknown value is a dash.

const UNKNOWN = "—";

export function count(number) {
  return number === null || number === undefined ? UNKNOWN : number.toLocaleString("en-US");
}

/** Returns `$1.23`; below one cent four significant digits, as in `$0.0004321`. */
export function usd(amount) {
  if (amount === null || amount === undefined) return UNKNOWN;
  if (amount === 0) return "$0.00";
  if (amount >= 0.01) {
    return `$${amount.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
  }
  const digits = 3 - Math.floor(Math.log10(amount));
  return `$${amount.toFixed(Math.min(digits, 20)).replace(/0+$/, "")}`;
}

/** Returns a sum of costs, marked `≥` where some are unknown and `≈` where some are estimated. */
export function usdOf(cost, calls, unpriced, estimated) {
  if (unpriced === calls) return UNKNOWN;
  return `${unpriced ? "≥ " : ""}${estimated ? "≈ " : ""}${usd(cost)}`;
}

/** Returns `842 ms`, `12.34 s`, `2 m 05 s` or `3 h 02 m`. */
export function duration(ms) {
  if (ms === null || ms === undefined) return UNKNOWN;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  if (ms < 59_995) return `${(ms / 1e3).toFixed(2)} s`;
  const seconds = Math.round(ms / 1e3);
  const two = (number) => String(number).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${two(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${two(Math.floor((seconds % 3600) / 60))} m`;
}
