// The time axis, with five to eight ticks at round times.

import { duration } from "../numbers.js";

const PX_PER_TICK = 130;
const MINUTE = 60_000;
const STEPS = [
  ...[0.01, 0.1, 1, 10, 100, 1000].flatMap((power) => [power, 2 * power, 5 * power]),
  ...[10_000, 15_000, 30_000],
  ...[1, 2, 5, 10, 15, 30, 60, 120, 240, 720, 1440].map((minutes) => minutes * MINUTE),
];

function stepOf(span, width) {
  const n = Math.min(8, Math.max(5, Math.floor(width / PX_PER_TICK)));
  return STEPS.find((step) => step >= span / n) ?? span / n;
}

function tickLabel(ms, step) {
  if (ms >= MINUTE) return duration(ms);
  if (step >= 1000) return `${Math.round(ms / 1e3)} s`;
  if (step >= 100) return `${(ms / 1e3).toFixed(1)} s`;
  return `${Number(ms.toFixed(2))} ms`;
}

export function drawAxis(axis, view, width) {
  const span = view.to - view.from;
  const step = stepOf(span, width) * (width < 300 ? 2 : 1);
  const ticks = [];
  for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) {
    const tick = document.createElement("span");
    tick.className = "at";
    tick.style.left = `${((at - view.from) / span) * width}px`;
    tick.textContent = tickLabel(at, step);
    ticks.push(tick);
  }
  axis.replaceChildren(...ticks);
}
