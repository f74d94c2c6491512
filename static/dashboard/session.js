// The page of one session: its cost chart, labels and note, and the notice of newer calls.

import { showStops } from "./actions.js";
import { announce, change } from "./browser.js";
import { colours, draw } from "./charts.js";
import { keepShaded } from "./heat.js";
import { listen } from "./live.js";
import { usd } from "./numbers.js";
import { selectable } from "./rows.js";

const MAX_LIMIT_RATIO = 5;

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
  // A line far above the spend would flatten the curve.
  if (limit <= MAX_LIMIT_RATIO * values.at(-1)) {
    series.push({ label: "budget", values: times.map(() => limit), colour: edge, dash: [6, 4] });
  } else if (!Number.isNaN(limit)) {
    document.getElementById("growth-limit").textContent = `The budget of ${usd(limit)} is far above the curve.`;
  }
  draw(box, times, series, (amount) => `$${+amount.toPrecision(3)}`);
}

async function saveChanges(changes) {
  const response = await change("PATCH", document.querySelector("[data-session]").dataset.session, changes);
  if (!response.ok) return response.detail;
  location.reload();
}

const pin = document.getElementById("pin");
pin?.addEventListener("click", async () => {
  const detail = await saveChanges({ pinned: pin.getAttribute("aria-pressed") !== "true" });
  if (detail) announce(detail);
});

const notes = document.getElementById("notes");
document.getElementById("annotate")?.addEventListener("click", () => notes.showModal());
notes?.querySelector("form").addEventListener("submit", async (event) => {
  if (event.submitter?.value !== "keep") return;
  event.preventDefault();
  const { labels, note } = event.target.elements;
  const given = labels.value.split(",").map((label) => label.trim()).filter(Boolean);
  const detail = await saveChanges({ labels: given, note: note.value || null });
  if (detail) notes.querySelector(".wrong").textContent = detail;
});

drawGrowth();
const rows = document.getElementById("rows");
if (rows) {
  keepShaded(rows);
  selectable(rows, { list: () => rows.dataset.list });
}
listen(`limit=1&session=${encodeURIComponent(shown.dataset.live)}`, shown.dataset.place, {
  onMessage(message) {
    if (message.stops && message.type === "news") showStops(message.stops);
    const isDeleted = message.deleted?.sessions.includes(shown.dataset.live);
    if (isDeleted && !("leaving" in document.body.dataset)) location.reload(); // the page says so
    if (message.calls || message.type === "gap") document.getElementById("newer").hidden = false;
  },
  onState: () => {},
});
