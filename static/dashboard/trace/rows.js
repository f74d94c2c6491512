// The rows on the screen, redrawn as the reader scrolls. Row elements are reused; a row keeps its element
// while it is visible.

import { root as site } from "../browser.js";
import { count, duration, usdOf } from "../numbers.js";
import { CRITICAL, ERROR, ESTIMATED, REFUSED, RETRY, WARNED } from "./model.js";
import { heat } from "../heat.js";

export const ROW = 28;
const SPARE = 4; // rows drawn beyond each edge
const LABEL = 64; // px reserved beside a bar
const TICK_FROM = 12; // px; in shorter bars a tick is not legible
const INDENT = 14, DEEPEST = 12;
const SVG = "http://www.w3.org/2000/svg";

function element(kind, name, ...children) {
  const made = document.createElement(kind);
  made.className = name;
  made.append(...children);
  return made;
}

class RowElement {
  constructor(slot) {
    this.toggle = element("span", "toggle");
    this.dot = element("span", "dot");
    this.icon = element("span", "icon");
    this.text = element("span", "name");
    this.label = element("div", "cell label", this.toggle, this.dot, this.icon, this.text);
    this.tokens = element("div", "cell number tokens");
    this.cost = element("div", "cell number cost");
    this.wait = element("span", "wait");
    this.tick = element("span", "tick");
    this.bar = element("a", "bar", this.wait, this.tick);
    this.bar.tabIndex = -1;
    this.took = element("span", "took");
    this.chip = element("button", "off");
    this.chip.type = "button";
    this.chip.tabIndex = -1;
    this.bars = element("div", "cell bars", this.bar, this.took, this.chip);
    this.root = element("div", "row", this.label, this.tokens, this.cost, this.bars);
    this.root.id = `row-${slot}`;
    this.root.setAttribute("role", "row");
    for (const cell of this.root.children) cell.setAttribute("role", "gridcell");
    this.index = -1;
  }
}

export class Rows {
  /** `box` scrolls; `body` has the height of all rows. */
  constructor(box, body) {
    this.box = box;
    this.body = body;
    this.slots = [];
    this.lines = document.createElementNS(SVG, "svg");
    this.lines.setAttribute("class", "lines");
    this.lines.setAttribute("aria-hidden", "true");
    this.given = document.createElementNS(SVG, "path");
    this.inferred = document.createElementNS(SVG, "path");
    this.inferred.setAttribute("class", "inferred");
    this.lines.append(this.given, this.inferred);
    body.append(this.lines);
  }

  /** Returns the range of visible rows, [first, end). */
  visible() {
    const head = this.body.offsetTop;
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW));
    const rows = Math.ceil((this.box.clientHeight - head) / ROW) + 1;
    return [first, Math.min(this.model.nVisible, first + rows)];
  }

  element(index) {
    const slot = this.slots[index % this.slots.length];
    return slot?.index === index ? slot.root : null;
  }

  /** `view` holds the time range `from` and `to` in ms, the selected row `sel`, and `crit`: whether the critical path is marked. */
  draw(model, view) {
    this.model = model;
    const [first, end] = this.visible();
    const from = Math.max(0, first - SPARE);
    const to = Math.min(model.nVisible, end + SPARE);
    const nSlots = Math.ceil(this.box.clientHeight / ROW) + 2 * SPARE + 2;
    if (this.slots.length < nSlots) this.makeSlots(nSlots);
    const width = this.width();
    const scale = width / Math.max(view.to - view.from, 1e-6);
    for (let index = from; index < to; index++) {
      const slot = this.slots[index % this.slots.length];
      this.fill(slot, index, model, view, scale, width);
    }
    for (const slot of this.slots) {
      const isOut = slot.index < from || slot.index >= to;
      if (isOut && slot.root.isConnected) {
        slot.root.remove();
        slot.index = -1;
      } else if (!isOut && !slot.root.isConnected) this.body.append(slot.root);
    }
    this.connect(model, view, scale, from, to);
  }

  /** The number of slots determines which row uses which slot, so all of them are replaced. */
  makeSlots(n) {
    for (const slot of this.slots) slot.root.remove();
    this.slots = Array.from({ length: n }, (_, slot) => new RowElement(slot));
  }

  width() {
    return Math.max(this.box.clientWidth - this.left(), 40);
  }

  left() {
    return this.body.parentElement.querySelector(".axis").offsetLeft;
  }

  fill(slot, index, model, view, scale, width) {
    const row = model.visible[index];
    const { rows, calls } = model;
    const call = rows.call[row];
    const isFold = model.isFold(row);
    const first = rows.first[row];
    const isOpen = model.open[row] === 1;
    const hasBelow = rows.below[row] > 0;
    const { root } = slot;
    slot.index = index;
    root.style.top = `${index * ROW}px`;
    root.dataset.row = row;
    if (isFold) delete root.dataset.call;
    else root.dataset.call = model.id(call);
    const isDim = model.matches !== null && (isFold || !model.matches[call]);
    const worst = model.worst(row);
    root.className = `row agent-${model.colour(row)}${isDim ? " dim" : ""}${isFold ? " fold" : ""}`;
    root.setAttribute("aria-rowindex", index + 2);
    root.setAttribute("aria-level", rows.depth[row] - rows.depth[model.first] + 1);
    root.setAttribute("aria-selected", row === view.sel);
    if (hasBelow) root.setAttribute("aria-expanded", isOpen);
    else root.removeAttribute("aria-expanded");

    const depth = Math.min(rows.depth[row] - rows.depth[model.first], DEEPEST);
    slot.label.style.paddingLeft = `${6 + depth * INDENT}px`;
    slot.toggle.textContent = hasBelow ? (isOpen ? "▾" : "▸") : "";
    slot.icon.className = `icon ${worst}`;
    slot.icon.textContent = worst === "bad" ? "✕" : worst === "warn" ? "⚠" : "";
    slot.text.textContent = this.title(model, row);
    slot.label.title = slot.text.textContent;
    const whole = isFold || (hasBelow && !isOpen);
    slot.tokens.textContent = isFold ? "" : `${count(calls.in[call])} → ${count(calls.out[call])}`;
    slot.cost.textContent = whole
      ? usdOf(rows.cost[row], rows.calls[row], rows.unpriced[row], rows.estimated[row])
      : usdOf(calls.cost[call], 1, calls.cost[call] === null ? 1 : 0, calls.flags[call] & ESTIMATED);
    slot.cost.className = `cell number cost heat-${whole ? 0 : heat(calls.cost[call], model.costs)}`;

    const begin = whole ? rows.begin[row] : calls.begin[call];
    const over = whole ? rows.end[row] : begin + (calls.ms[call] ?? 0);
    const x = (begin - view.from) * scale;
    const long = Math.max((over - begin) * scale, 3);
    const isBefore = x + long < 0;
    const isBehind = x > width - 2;
    slot.chip.hidden = !isBefore && !isBehind;
    slot.bar.hidden = slot.took.hidden = !slot.chip.hidden;
    if (!slot.chip.hidden) {
      const distance = isBefore ? view.from - over : begin - view.to;
      slot.chip.textContent = isBefore ? `‹ ${duration(distance)}` : `${duration(distance)} ›`;
      slot.chip.title = "Scroll the time axis to this row";
      slot.chip.classList.toggle("behind", isBehind);
      return;
    }
    const left = Math.max(x, -2);
    const right = Math.min(x + long, width + 2);
    const flags = isFold ? 0 : calls.flags[call];
    const isRunning = !isFold && model.text(call, "outcome") === "running";
    slot.bar.className = [
      "bar",
      worst,
      whole ? "whole" : "",
      flags & RETRY ? "retry" : "",
      isRunning ? "running" : "",
      view.crit && flags & CRITICAL ? "critical" : "",
    ].join(" ");
    slot.bar.style.left = `${left}px`;
    slot.bar.style.width = `${right - left}px`;
    if (isFold) slot.bar.removeAttribute("href");
    else slot.bar.href = `${site}/dashboard/calls/${root.dataset.call}/`;
    slot.bar.title = isFold ? "" : this.tooltip(model, call);
    slot.bar.setAttribute("aria-label", `${slot.text.textContent}, ${duration(over - begin)}`);
    const ttft = whole ? null : calls.ttft[call];
    const firstToken = ttft === null ? 0 : Math.min(ttft * scale, long) + x - left;
    slot.wait.style.width = `${Math.max(0, Math.min(firstToken, right - left))}px`;
    slot.tick.hidden = ttft === null || long < TICK_FROM || firstToken < 0 || firstToken > right - left;
    slot.tick.style.left = `${firstToken}px`;
    slot.took.textContent = !whole && calls.ms[call] === null ? "—" : duration(over - begin);
    slot.took.className = `took heat-${whole ? 0 : heat(calls.ms[call], model.durations)}`;
    this.putLabel(slot.took, left, right, width);
  }

  title(model, row) {
    const { rows } = model;
    const call = rows.first[row];
    const name = model.name(row);
    if (model.isFold(row)) {
      const cost = usdOf(rows.cost[row], rows.calls[row], rows.unpriced[row], rows.estimated[row]);
      const bad = rows.errors[row] ? ` · ${count(rows.errors[row])} ✕` : "";
      const warned = rows.warned[row] ? ` · ${count(rows.warned[row])} ⚠` : "";
      return `${name} ×${count(rows.folded[row])} · ${cost}${bad}${warned}`;
    }
    const attempt = model.calls.attempt[call];
    const hidden = rows.below[row] && !model.open[row] ? ` +${count(rows.calls[row] - 1)}` : "";
    return `${name}${attempt > 1 ? ` (attempt ${attempt})` : ""}${hidden}`;
  }

  tooltip(model, call) {
    const { calls } = model;
    const parts = [
      `${model.text(call, "model") ?? "unknown model"}`,
      `${model.text(call, "outcome")}${calls.status[call] === null ? "" : ` ${calls.status[call]}`}`,
      `first token ${duration(calls.ttft[call])}, total ${duration(calls.ms[call])}`,
    ];
    if (model.has(call, WARNED)) parts.push("⚠ budget warning");
    if (model.has(call, ERROR)) parts.push("✕ error");
    if (model.has(call, REFUSED)) parts.push("⛔ refused");
    parts.push(model.reason(call));
    return parts.join("\n");
  }

  putLabel(took, left, right, width) {
    const fitsRight = right + LABEL <= width;
    const fitsLeft = left >= LABEL;
    took.classList.toggle("left", !fitsRight);
    took.style.left = fitsRight ? `${right + 6}px` : "auto";
    took.style.right = fitsRight ? "auto" : fitsLeft ? `${width - left + 6}px` : "4px";
  }

  /**
   * Draws lines from the start of a parent's bar down to the start of its child's. The line of a parent
   * above the visible rows comes from the top.
   */
  connect(model, view, scale, from, to) {
    const { rows, calls } = model;
    const width = this.width();
    const top = from * ROW;
    let given = "";
    let inferred = "";
    for (let index = from; index < to; index++) {
      const row = model.visible[index];
      const call = rows.first[row];
      const parent = calls.parent[call];
      if (parent < 0) continue;
      const at = model.indexOfRow[model.rowOfCall[parent]];
      if (at < 0) continue;
      const x = Math.min(Math.max((calls.begin[parent] - view.from) * scale, 0), width - 1);
      const end = Math.min(Math.max((calls.begin[call] - view.from) * scale, 0), width - 1);
      const y = (at + 1) * ROW - 7 - top;
      const down = index * ROW + ROW / 2 - top;
      const path = `M${x.toFixed(1)} ${Math.max(y, 0)}V${down}H${end.toFixed(1)}`;
      if (model.isGiven(call)) given += path;
      else inferred += path;
    }
    this.lines.style.top = `${top}px`;
    this.lines.style.left = `${this.left()}px`;
    this.lines.setAttribute("width", width);
    this.lines.setAttribute("height", (to - from) * ROW);
    this.given.setAttribute("d", given);
    this.inferred.setAttribute("d", inferred);
  }
}
