// The list of calls, live: new ones come in at the top, unless the reader looks at something.

import { showStops } from "./acting.js";
import { say, setParameters } from "./browser.js";
import { keepShaded } from "./heat.js";
import { listen } from "./live.js";
import { count, usd } from "./numbers.js";
import { selectable } from "./rows.js";

const MOST_ROWS = 2000;
const HOVER_MS = 1000;
const SAY_EVERY_MS = 5000;

const scroller = document.getElementById("scroller");
const body = document.getElementById("rows");
const pill = document.getElementById("pill");
const pause = document.getElementById("pause");
const state = document.getElementById("state");

// --- held: what keeps new rows back ---

const causes = new Set();
let waiting = []; // rows as HTML, the oldest first
let paused = new URLSearchParams(location.search).get("tail") === "0";
let connection = "connecting";
let saidAt = 0;

function hold(cause, isHeld) {
  if (isHeld) causes.add(cause);
  else causes.delete(cause);
  if (!isHeld && !paused && causes.size === 0) flush();
  show();
}

function flush() {
  if (waiting.length) {
    const rows = waiting;
    waiting = [];
    body.insertAdjacentHTML("afterbegin", rows.reverse().join(""));
    trim();
  }
  show();
}

function trim() {
  if (body.rows.length <= MOST_ROWS) return;
  while (body.rows.length > MOST_ROWS) body.rows[body.rows.length - 1].remove();
  const end = document.getElementById("older");
  end.textContent = `Only the newest ${MOST_ROWS.toLocaleString("en")} rows are shown. Reload to see older ones.`;
}

function show() {
  const n = waiting.length;
  pill.hidden = n === 0;
  pill.textContent = `${n.toLocaleString("en")} new ${n === 1 ? "call" : "calls"} ↑`;
  if (n && Date.now() - saidAt > SAY_EVERY_MS) {
    saidAt = Date.now();
    say(pill.textContent);
  }
  if (!state) return;
  const now = paused ? "paused" : connection !== "live" ? connection : causes.size ? "held" : "live";
  state.dataset.state = now;
  state.textContent = { live: "● live", held: "● live, on hold", paused: "‖ paused", lost: "○ reconnecting" }[now] ?? "○ connecting";
  pause.textContent = paused ? "Resume" : "Pause";
  pause.setAttribute("aria-pressed", String(paused));
}

pill.addEventListener("click", () => {
  scroller.scrollTop = 0;
  causes.clear();
  flush();
});
pause?.addEventListener("click", () => {
  paused = !paused;
  setParameters({ tail: paused ? "0" : null });
  if (!paused) {
    causes.delete("hover");
    scroller.scrollTop = 0;
    causes.delete("scroll");
    flush();
  }
  show();
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

// --- what the feed tells ---

const frame = [];

function take(told) {
  if (told.type === "gap") {
    document.getElementById("gap").hidden = false;
    return;
  }
  if (told.stops) showStops(told.stops);
  if (told.now) figures(told.now);
  const started = told.started ?? told.running ?? [];
  const startedRows = told.started_rows ?? told.running_rows ?? [];
  started.forEach((call, i) => isKnown(call.action_id) || add(call.action_id, startedRows[i]));
  for (const id of told.ended ?? []) {
    const row = document.getElementById(`c-${id}`);
    if (row?.classList.contains("is-running")) end(row);
  }
  (told.calls ?? []).forEach((call, i) => put(call.action_id, told.rows[i]));
  for (const id of told.deleted?.calls ?? []) document.getElementById(`c-${id}`)?.remove();
  if (told.deleted?.sessions.length) location.reload();
  if (told.calls?.length || started.length) comeAlive();
  if (!paused && causes.size === 0) flush();
  else show();
}

function isKnown(id) {
  return document.getElementById(`c-${id}`) !== null || waiting.some((row) => row.includes(`id="c-${id}"`));
}

function add(id, row) {
  if (row) waiting.push(row);
}

/** A call that was recorded takes the place of its running row, wherever that is. */
function put(id, row) {
  const shown = document.getElementById(`c-${id}`);
  if (shown) {
    const isSelected = shown.getAttribute("aria-selected");
    shown.insertAdjacentHTML("afterend", row);
    const next = shown.nextElementSibling;
    if (isSelected) next.setAttribute("aria-selected", isSelected);
    shown.remove();
    return;
  }
  const at = waiting.findIndex((one) => one.includes(`id="c-${id}"`));
  if (at >= 0) waiting[at] = row;
  else waiting.push(row);
}

function end(row) {
  row.classList.remove("is-running");
  row.querySelector(".col-status .badge").textContent = "◌ being recorded";
}

function figures(now) {
  for (const [name, value] of Object.entries(now)) {
    const place = document.querySelector(`[data-figure="${name}"]`);
    if (place) place.textContent = name.endsWith("_usd") ? usd(value) : count(value);
  }
}

/** The first call is there: the list takes the place of what told how to make it. */
function comeAlive() {
  const list = document.getElementById("once-there-are-calls");
  if (!list) return;
  list.hidden = false;
  list.removeAttribute("id");
  document.getElementById("no-calls").remove();
  document.querySelector("#older .empty")?.remove();
}

function schedule(told) {
  frame.push(told);
  if (frame.length === 1) requestAnimationFrame(() => frame.splice(0).forEach(take));
}

function connectionIs(now, seconds) {
  connection = now;
  const lost = document.getElementById("lost");
  lost.hidden = now === "live";
  if (now === "lost") lost.textContent = `Connection lost: calls may be missing. Retrying in ${seconds} s.`;
  show();
}

setInterval(() => {
  for (const row of body.querySelectorAll(".is-running")) {
    const seconds = (Date.now() - Date.parse(row.dataset.since)) / 1000;
    row.querySelector(".col-total").textContent = `${Math.max(0, seconds).toFixed(0)} s`;
  }
}, 1000);

// --- coming back to the page ---

const KEPT = `calls ${location.search}`;

function restore() {
  const [navigation] = performance.getEntriesByType("navigation");
  const kept = sessionStorage.getItem(KEPT);
  sessionStorage.removeItem(KEPT);
  if (navigation?.type !== "back_forward" || !kept) return;
  const { rows, older, top } = JSON.parse(kept);
  body.innerHTML = rows;
  document.getElementById("older").innerHTML = older;
  globalThis.htmx?.process(document.getElementById("older"));
  scroller.scrollTop = top;
}

addEventListener("pagehide", () => {
  if (scroller.scrollTop === 0) return;
  const older = document.getElementById("older").innerHTML;
  try {
    sessionStorage.setItem(KEPT, JSON.stringify({ rows: body.innerHTML, older, top: scroller.scrollTop }));
  } catch {
    // There is no room for so many rows: the list begins at its top.
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
    banner.querySelector("a").href = `/dashboard/calls/${encodeURIComponent(id)}/`;
    banner.hidden = false;
  },
});
show();
if (scroller.dataset.isLive === "yes") {
  const query = new URLSearchParams(scroller.dataset.live);
  query.set("rows", scroller.dataset.zone);
  listen(query, scroller.dataset.place, { onMessage: schedule, onState: connectionIs });
}
