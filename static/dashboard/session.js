// One session: how its cost grew, what readers give it, and whether there are newer calls.

import { showStops } from "./acting.js";
import { change, say } from "./browser.js";
import { colours, draw } from "./charts.js";
import { keepShaded } from "./heat.js";
import { listen } from "./live.js";
import { usd } from "./numbers.js";
import { selectable } from "./rows.js";

const FARTHEST = 5;

const shown = document.getElementById("calls-of-session");

function drawGrowth() {
  const box = document.getElementById("growth");
  const points = JSON.parse(document.getElementById("growth-data").textContent);
  if (points.length < 2) {
    box.textContent = "Too few calls with a known cost to draw a chart.";
    return;
  }
  const [accent, edge] = colours("--accent", "--warn-edge");
  const times = points.map(([at]) => at);
  const values = points.map(([, total]) => total);
  const series = [{ label: "USD", values, colour: accent, steps: true }];
  const limit = Number(box.dataset.limit ?? NaN);
  // Far above what was spent, its line would press the curve to the ground.
  if (limit <= FARTHEST * values.at(-1)) {
    series.push({ label: "budget", values: times.map(() => limit), colour: edge, dash: [6, 4] });
  } else if (!Number.isNaN(limit)) {
    document.getElementById("growth-limit").textContent = `The budget of ${usd(limit)} is far above the curve.`;
  }
  draw(box, times, series, (amount) => `$${+amount.toPrecision(3)}`);
}

async function set(changes) {
  const answer = await change("PATCH", document.querySelector("[data-session]").dataset.session, changes);
  if (!answer.ok) return answer.detail;
  location.reload();
}

const pin = document.getElementById("pin");
pin?.addEventListener("click", async () => {
  const detail = await set({ pinned: pin.getAttribute("aria-pressed") !== "true" });
  if (detail) say(detail);
});

const notes = document.getElementById("notes");
document.getElementById("annotate")?.addEventListener("click", () => notes.showModal());
notes?.querySelector("form").addEventListener("submit", async (event) => {
  if (event.submitter?.value !== "keep") return;
  event.preventDefault();
  const { labels, note } = event.target.elements;
  const given = labels.value.split(",").map((label) => label.trim()).filter(Boolean);
  const detail = await set({ labels: given, note: note.value || null });
  if (detail) notes.querySelector(".wrong").textContent = detail;
});

drawGrowth();
const rows = document.getElementById("rows");
if (rows) {
  keepShaded(rows);
  selectable(rows, { list: () => rows.dataset.list });
}
listen(`limit=1&session=${encodeURIComponent(shown.dataset.live)}`, shown.dataset.place, {
  onMessage(told) {
    if (told.stops && told.type === "news") showStops(told.stops);
    if (told.deleted?.sessions.includes(shown.dataset.live)) location.reload(); // the page says so
    if (told.calls || told.type === "gap") document.getElementById("newer").hidden = false;
  },
  onState: () => {},
});
