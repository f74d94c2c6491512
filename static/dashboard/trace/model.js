// A trace's columns and its visible rows. There is no object per row, only arrays.

import { fifths } from "../heat.js";

export const ERROR = 1, REFUSED = 2, WARNED = 4, ESTIMATED = 8, RETRY = 16, CRITICAL = 32;
const FOLD = -1;

/** Returns the columns of rows: the server's, and those that follow from the row's call. */
function columnsOf({ call, parent, above, sums }, calls) {
  const n = call.length;
  const rows = { call: Int32Array.from(call), parent: Int32Array.from(parent) };
  for (const name of ["first", "depth", "below", "folded", "calls", "errors", "warned", "unpriced", "estimated"]) rows[name] = new Int32Array(n);
  for (const name of ["cost", "begin", "end"]) rows[name] = new Float64Array(n);
  for (let row = 0; row < n; row++) {
    rows.depth[row] = parent[row] < 0 ? 0 : rows.depth[parent[row]] + 1;
    const own = call[row];
    if (own === FOLD) continue;
    const flags = calls.flags[own];
    rows.first[row] = own;
    rows.calls[row] = 1;
    rows.errors[row] = flags & (ERROR | REFUSED) ? 1 : 0;
    rows.warned[row] = flags & WARNED ? 1 : 0;
    rows.estimated[row] = flags & ESTIMATED ? 1 : 0;
    rows.unpriced[row] = calls.cost[own] === null ? 1 : 0;
    rows.cost[row] = calls.cost[own] ?? 0;
    rows.begin[row] = calls.begin[own];
    rows.end[row] = calls.begin[own] + (calls.ms[own] ?? 0);
  }
  for (const [name, column] of Object.entries(sums)) above.forEach((row, at) => (rows[name][row] = column[at]));
  return rows;
}

export class Model {
  constructor(data) {
    this.begin = data.begin ?? 0;
    this.evidence = data.evidence;
    this.names = data.names;
    this.colours = data.colours;
    this.calls = data.calls;
    this.nCalls = this.calls.seq.length;
    this.rows = columnsOf(data.rows, data.calls);
    this.nRows = this.rows.call.length;
    this.end = this.nRows ? this.rows.end.reduce((a, b) => Math.max(a, b), 0) : 0;
    this.rowOfCall = new Int32Array(this.nCalls);
    for (let row = 0; row < this.nRows; row++) {
      if (this.rows.call[row] !== FOLD) this.rowOfCall[this.rows.call[row]] = row;
    }
    this.isLost = new Set(this.calls.lost);
    this.costs = fifths(this.calls.cost);
    this.durations = fifths(this.calls.ms);
    this.open = new Uint8Array(this.nRows);
    this.visible = new Int32Array(this.nRows); // the visible rows, in order
    this.nVisible = 0;
    this.indexOfRow = new Int32Array(this.nRows); // a row's index among the visible ones, or -1
    this.matches = null;
  }

  /** Updates the durations of the running calls, which are the last ones. */
  grow(running) {
    running.forEach(({ begun }, at) => {
      const call = this.nCalls - running.length + at;
      const row = this.rowOfCall[call];
      this.calls.ms[call] = performance.now() - begun;
      this.rows.end[row] = this.calls.begin[call] + this.calls.ms[call];
    });
  }

  isFold(row) {
    return this.rows.call[row] === FOLD;
  }

  id(call) {
    const hex = this.calls.ids.slice(call * 32, call * 32 + 32);
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
  }

  /** The call with this action_id, or -1. */
  callOf(id) {
    const hex = id.replaceAll("-", "").toLowerCase();
    if (hex.length !== 32) return -1;
    for (let at = this.calls.ids.indexOf(hex); at >= 0; at = this.calls.ids.indexOf(hex, at + 1)) {
      if (at % 32 === 0) return at / 32;
    }
    return -1;
  }

  name(row) {
    return this.names[this.calls.name[this.rows.first[row]]] ?? "—";
  }

  colour(row) {
    return this.colours[this.calls.name[this.rows.first[row]]];
  }

  text(call, column) {
    return this.names[this.calls[column][call]];
  }

  /** Returns the reason why this call is drawn below its parent. */
  reason(call) {
    const parent = this.calls.parent[call];
    const agent = parent >= 0 ? this.names[this.calls.name[parent]] ?? "—" : "";
    const reason = this.evidence[this.text(call, "evidence")]
      .replace("{parent}", () => agent)
      .replace("{tool}", () => this.text(call, "tool") ?? "—");
    return this.isLost.has(call) ? `${reason}; the parent that it names is not an earlier call of this session` : reason;
  }

  isGiven(call) {
    return this.text(call, "evidence") === "given";
  }

  // --- open rows ---

  /** Returns a row's key, which stays the same when calls are added: `12`, or `f12` for a fold. */
  key(row) {
    return (this.isFold(row) ? "f" : "") + this.calls.seq[this.rows.first[row]];
  }

  /** Opens calls and closes folds, except for those in `flipped`, which are the other way round. */
  arrange(flipped, focus) {
    for (let row = 0; row < this.nRows; row++) {
      const isFlipped = flipped.size > 0 && this.rows.below[row] > 0 && flipped.has(this.key(row));
      this.open[row] = this.isFold(row) === isFlipped ? 1 : 0;
    }
    this.first = focus ?? 0;
    this.listVisible();
  }

  /** Updates the list of visible rows. */
  listVisible() {
    const { below } = this.rows;
    const end = this.first ? this.first + below[this.first] + 1 : this.nRows;
    this.indexOfRow.fill(-1);
    let n = 0;
    for (let row = this.first; row < end; row += this.open[row] ? 1 : below[row] + 1) {
      this.indexOfRow[row] = n;
      this.visible[n++] = row;
    }
    this.nVisible = n;
  }

  toggle(row, flipped) {
    if (!this.rows.below[row]) return;
    const key = this.key(row);
    if (!flipped.delete(key)) flipped.add(key);
    this.open[row] = this.open[row] ? 0 : 1;
  }

  openAll(row, flipped) {
    for (let one = row; one <= row + this.rows.below[row]; one++) {
      if (!this.open[one]) this.toggle(one, flipped);
    }
  }

  /** Opens the rows that hide this row. */
  reveal(row, flipped) {
    for (let above = this.rows.parent[row]; above >= 0; above = this.rows.parent[above]) {
      if (!this.open[above]) this.toggle(above, flipped);
    }
  }

  // --- search ---

  find(text) {
    const words = text.trim().toLowerCase();
    if (!words) {
      this.matches = null;
      return 0;
    }
    const isMatch = this.names.map((name) => name !== null && name.toLowerCase().includes(words));
    const hex = words.replaceAll("-", "");
    this.matches = new Uint8Array(this.nCalls);
    let n = 0;
    for (let call = 0; call < this.nCalls; call++) {
      const isFound =
        isMatch[this.calls.name[call]] ||
        isMatch[this.calls.model[call]] ||
        (hex.length >= 6 && this.calls.ids.startsWith(hex, call * 32));
      if (isFound) {
        this.matches[call] = 1;
        n++;
      }
    }
    return n;
  }

  /** Returns the next row whose call passes `matches(call)`, wrapping around; -1 when there is none. */
  next(after, matches) {
    for (let step = 1; step <= this.nRows; step++) {
      const row = (after + step) % this.nRows;
      const call = this.rows.call[row];
      if (call !== FOLD && matches(call)) return row;
    }
    return -1;
  }

  has(call, flags) {
    return (this.calls.flags[call] & flags) !== 0;
  }

  /** Returns the class of a row's border: the worst state of the calls that it stands for. */
  worst(row) {
    const hides = this.rows.below[row] > 0 && !this.open[row];
    const call = this.rows.call[row];
    const isBad = hides || call === FOLD ? this.rows.errors[row] > 0 : this.has(call, ERROR | REFUSED);
    const isWarned = hides || call === FOLD ? this.rows.warned[row] > 0 : this.has(call, WARNED);
    return isBad ? "bad" : isWarned ? "warn" : "";
  }
}
