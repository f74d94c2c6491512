// Charts over time; the tables beside them have the same figures.

import { colours, draw } from "./charts.js";

const data = document.getElementById("chart-points");

function chart(id, names, kinds, write, options) {
  const box = document.getElementById(id);
  const points = JSON.parse(data.textContent);
  const times = points.map(({ start }) => start);
  const found = colours(...kinds.map(([colour]) => colour));
  const series = names.map((name, i) => {
    return { label: name, values: points.map((point) => point[name]), colour: found[i], width: kinds[i][1] };
  });
  draw(box, times, series, write, options);
}

const usd = (amount) => `$${+amount.toPrecision(3)}`;
const count = (number) => number.toLocaleString("en", { notation: "compact" });
const duration = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${+(ms / 1000).toPrecision(3)} s`);
const PERCENTILES = [["--accent", 2.5], ["--agent-1", 1.5], ["--muted", 1]];

if (data) {
  chart("cost", ["cost_usd"], [["--accent", 0]], usd, { bars: true });
  chart("calls", ["call_count", "error_count"], [["--accent", 2], ["--bad", 2]], count);
  chart("latency", ["latency_p50_ms", "latency_p95_ms", "latency_p99_ms"], PERCENTILES, duration);
  chart("ttft", ["ttft_p50_ms", "ttft_p95_ms", "ttft_p99_ms"], PERCENTILES, duration);
}
