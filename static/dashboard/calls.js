// The live list of calls: new calls appear at the top, unless the reader is looking at something.

import { showStops } from "./actions.js";
import { announce, root, setParameters } from "./browser.js";
import { keepShaded } from "./heat.js";
import { listen } from "./live.js";
import { count, usd } from "./numbers.js";
import { selectable } from "./rows.js";

const MOST_ROWS = 2000;
const HOVER_MS = 1000;
const ANNOUNCE_EVERY_MS = 5000;

const scroller = document.getElementById("scroller");
const body = document.getElementById("rows");
const pill = document.getElementById("pill");
const pause = document.getElementById("pause");
const state = document.getElementById("state");

// --- holding new rows back ---

const holds = new Set(); // the reasons why new rows wait
let waiting = []; // rows as HTML, oldest first
let paused = new URLSearchParams(location.search).get("tail") === "0";
let connection = "connecting";
let announcedAt = 0;

function hold(reason, isHeld) {
  if (isHeld) holds.add(reason);
  else holds.delete(reason);
  if (!isHeld && !paused && holds.size === 0) flush();
  showState();
}

function flush() {
  if (waiting.length) {
    const rows = waiting;
    waiting = [];
    body.insertAdjacentHTML("afterbegin", rows.reverse().join(""));
    trim();
  }
  showState();
}

function trim() {
  if (body.rows.length <= MOST_ROWS) return;
  while (body.rows.length > MOST_ROWS) body.rows[body.rows.length - 1].remove();
  const end = document.getElementById("older");
  end.textContent = `Only the newest ${MOST_ROWS.toLocaleString("en")} rows are shown. Reload to see older ones.`;
}

function showState() {
  const n = waiting.length;
  pill.hidden = n === 0;
  pill.textContent = `${n.toLocaleString("en")} new ${n === 1 ? "call" : "calls"} ↑`;
  if (n && Date.now() - announcedAt > ANNOUNCE_EVERY_MS) {
    announcedAt = Date.now();
    announce(pill.textContent);
  }
  if (!state) return;
  const now = paused ? "paused" : connection !== "live" ? connection : holds.size ? "held" : "live";
  state.dataset.state = now;
  state.textContent = { live: "● live", held: "● live, on hold", paused: "‖ paused", lost: "○ reconnecting" }[now] ?? "○ connecting";
  pause.textContent = paused ? "Resume" : "Pause";
  pause.setAttribute("aria-pressed", String(paused));
}

pill.addEventListener("click", () => {
  scroller.scrollTop = 0;
  holds.clear();
  flush();
});
pause?.addEventListener("click", () => {
  paused = !paused;
  setParameters({ tail: paused ? "0" : null });
  if (!paused) {
    holds.delete("hover");
    scroller.scrollTop = 0;
    holds.delete("scroll");
    flush();
  }
  showState();
});
scroller.addEventListener("scroll", () => hold("scroll", scroller.scrollTop > 0), { passive: true });
document.addEventListener("selectionchange", () => {
  const selection = getSelection();
  hold("selection", !selection.isCollapsed && body.contains(selection.anchorNode));
});
let hover = null;
body.addEventListener("pointerenter", (event) => {
  if (event.pointerType === "mouse") hover = setTimeout(hold, HOVER_MS, "hover", true);
});
body.addEventListener("pointerleave", () => {
  clearTimeout(hover);
  hold("hover", false);
});

// --- messages of the feed ---

const frame = []; // messages to apply in the next animation frame

function apply(message) {
  if (message.type === "gap") {
    document.getElementById("gap").hidden = false;
    return;
  }
  if (message.stops) showStops(message.stops);
  if (message.now) showFigures(message.now);
  const started = message.started ?? message.running ?? [];
  const startedRows = message.started_rows ?? message.running_rows ?? [];
  started.forEach((call, i) => isKnown(call.action_id) || add(call.action_id, startedRows[i]));
  for (const id of message.ended ?? []) {
    const row = document.getElementById(`c-${id}`);
    if (row?.classList.contains("is-running")) end(row);
  }
  (message.calls ?? []).forEach((call, i) => put(call.action_id, message.rows[i]));
  for (const id of message.deleted?.calls ?? []) document.getElementById(`c-${id}`)?.remove();
  if (message.deleted?.sessions.length) location.reload();
  if (message.calls?.length || started.length) showList();
  if (!paused && holds.size === 0) flush();
  else showState();
}

function isKnown(id) {
  return document.getElementById(`c-${id}`) !== null || waiting.some((row) => row.includes(`id="c-${id}"`));
}

function add(id, row) {
  if (row) waiting.push(row);
}

/** Replaces the row of a running call by that of the recorded call, or adds it. */
function put(id, row) {
  const current = document.getElementById(`c-${id}`);
  if (current) {
    const isSelected = current.getAttribute("aria-selected");
    current.insertAdjacentHTML("afterend", row);
    const next = current.nextElementSibling;
    if (isSelected) next.setAttribute("aria-selected", isSelected);
    current.remove();
    return;
  }
  const at = waiting.findIndex((html) => html.includes(`id="c-${id}"`));
  if (at >= 0) waiting[at] = row;
  else waiting.push(row);
}

function end(row) {
  row.classList.remove("is-running");
  row.querySelector(".col-status .badge").textContent = "◌ being recorded";
}

function showFigures(figures) {
  for (const [name, value] of Object.entries(figures)) {
    const element = document.querySelector(`[data-figure="${name}"]`);
    if (element) element.textContent = name.endsWith("_usd") ? usd(value) : count(value);
  }
}

/** Shows the list in place of the instructions when the first call arrives. */
function showList() {
  const list = document.getElementById("once-there-are-calls");
  if (!list) return;
  list.hidden = false;
  list.removeAttribute("id");
  document.getElementById("no-calls").remove();
  document.querySelector("#older .empty")?.remove();
}

function schedule(message) {
  frame.push(message);
  if (frame.length === 1) requestAnimationFrame(() => frame.splice(0).forEach(apply));
}

function showConnection(state, seconds) {
  connection = state;
  const lost = document.getElementById("lost");
  lost.hidden = state === "live";
  if (state === "lost") lost.textContent = `Connection lost: calls may be missing. Retrying in ${seconds} s.`;
  showState();
}

setInterval(() => {
  for (const row of body.querySelectorAll(".is-running")) {
    const seconds = (Date.now() - Date.parse(row.dataset.since)) / 1000;
    row.querySelector(".col-total").textContent = `${Math.max(0, seconds).toFixed(0)} s`;
  }
}, 1000);

// --- returning to the page ---

const STORAGE_KEY = `calls ${location.search}`;

function restore() {
  const [navigation] = performance.getEntriesByType("navigation");
  const stored = sessionStorage.getItem(STORAGE_KEY);
  sessionStorage.removeItem(STORAGE_KEY);
  if (navigation?.type !== "back_forward" || !stored) return;
  const { rows, older, top } = JSON.parse(stored);
  body.innerHTML = rows;
  document.getElementById("older").innerHTML = older;
  globalThis.htmx?.process(document.getElementById("older"));
  scroller.scrollTop = top;
}

addEventListener("pagehide", () => {
  if (scroller.scrollTop === 0) return;
  const older = document.getElementById("older").innerHTML;
  try {
    sessionStorage.setItem(STORAGE_KEY, JSON.stringify({ rows: body.innerHTML, older, top: scroller.scrollTop }));
  } catch {
    // The storage has no room for so many rows: the list will start at its top.
  }
});

if (matchMedia("(max-width: 900px)").matches) document.querySelector(".narrow").open = false;

restore();
keepShaded(body);
selectable(body, {
  peek: document.getElementById("peek"),
  onPeek: (isOpen) => hold("peek", isOpen),
  onMissing(id) {
    const banner = document.getElementById("no-selection");
    banner.querySelector("a").href = `${root}/dashboard/calls/${encodeURIComponent(id)}/`;
    banner.hidden = false;
  },
});
showState();
if (scroller.dataset.isLive === "yes") {
  const query = new URLSearchParams(scroller.dataset.live);
  query.set("rows", scroller.dataset.zone);
  listen(query, scroller.dataset.place, { onMessage: schedule, onState: showConnection });
}
