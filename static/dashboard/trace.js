// The Trace page: connects its parts, and keeps the reader's choices in the address.

import { announce, getCookie, root, setCookie, setParameters } from "./browser.js";
import { onKeys } from "./keys.js";
import { count, duration } from "./numbers.js";
import { refresh } from "./refresh.js";
import { drawAxis } from "./trace/axis.js";
import { Minimap } from "./trace/map.js";
import { CRITICAL, ERROR, Model, REFUSED, WARNED } from "./trace/model.js";
import { withRunning } from "./trace/running.js";
import { peek } from "./trace/peek.js";
import { ROW, Rows } from "./trace/rows.js";

const page = document.querySelector("[data-trace]");
const MAX_FLIPPED = 300; // in the address
const ADDRESS_MS = 200; // browsers limit the rate of changes
const GROW_MS = 500; // running calls get longer
const MARGIN = 0.02; // share of the time range, at both ends
const LABEL_SHARE = 0.08;

if (page) start();

function start() {
  const grid = page.querySelector("[role=treegrid]");
  const body = grid.querySelector(".body");
  const axis = grid.querySelector(".axis");
  const guide = page.querySelector(".guide");
  const panel = page.querySelector("#peek");
  const status = page.querySelector("#about-row");
  const search = page.querySelector("input[name=q]");
  const lock = page.querySelector("#lock");
  const critical = page.querySelector("#critical");
  const crumbs = page.querySelector("#focus");
  const missing = page.querySelector("#missing");
  const given = new URL(location.href).searchParams;

  const rows = new Rows(grid, body);
  const map = new Minimap(page.querySelector(".map"), (from, to) => setTime(from, to));
  const view = { from: 0, to: 1, sel: -1, crit: given.get("crit") === "true" };
  const flipped = new Set((given.get("collapsed") ?? "").split(",").filter(Boolean));
  let model = null;
  let locked = given.has("t0") && given.has("t1");
  let selected = given.get("sel"); // action_id, or a fold's key
  let focus = given.get("focus");
  let isDrawRequested = false;

  if (locked) [view.from, view.to] = [Number(given.get("t0")), Number(given.get("t1"))];
  if (view.to <= view.from) locked = false;
  search.value = given.get("q") ?? "";
  critical.checked = view.crit;

  // --- drawing ---

  function draw() {
    isDrawRequested = false;
    if (!model) return;
    if (!locked) follow();
    rows.draw(model, view);
    drawAxis(axis, view, rows.width());
    map.show(view.from, view.to);
    const shown = view.sel >= 0 ? rows.element(model.indexOfRow[view.sel]) : null;
    if (shown) grid.setAttribute("aria-activedescendant", shown.id);
    else grid.removeAttribute("aria-activedescendant");
  }

  function requestDraw() {
    if (!isDrawRequested) requestAnimationFrame(draw);
    isDrawRequested = true;
  }

  /** Fits the time range to the visible rows. */
  function follow() {
    const [first, end] = rows.visible();
    let from = Infinity;
    let to = -Infinity;
    for (let index = first; index < end; index++) {
      const row = model.visible[index];
      const call = model.rows.call[row];
      const isWhole = !model.open[row];
      if (call < 0 && !isWhole) continue;
      const begin = isWhole ? model.rows.begin[row] : model.calls.begin[call];
      from = Math.min(from, begin);
      to = Math.max(to, isWhole ? model.rows.end[row] : begin + (model.calls.ms[call] ?? 0));
    }
    if (from > to) [from, to] = [0, 1];
    const span = Math.max(to - from, 1);
    view.from = Math.max(0, from - span * MARGIN);
    view.to = to + span * (MARGIN + LABEL_SHARE);
  }

  function arrange() {
    const call = focus ? model.callOf(focus) : -1;
    rows.model = model;
    model.arrange(flipped, call >= 0 ? model.rowOfCall[call] : null);
    crumbs.hidden = call < 0;
    if (call >= 0) crumbs.querySelector("b").textContent = model.name(model.rowOfCall[call]);
    resize();
  }

  function resize() {
    model.listVisible();
    body.style.height = `${model.nVisible * ROW}px`;
    grid.setAttribute("aria-rowcount", model.nVisible + 1);
    page.querySelector("#n-rows").textContent =
      `${count(model.nVisible)} rows, ${count(model.nCalls)} calls, ${duration(model.end)}`;
    requestDraw();
  }

  // --- the address ---

  let timer = 0;
  function remember() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      setParameters({
        sel: selected,
        t0: locked ? Math.max(0, Math.floor(view.from)) : null,
        t1: locked ? Math.ceil(view.to) : null,
        collapsed: flipped.size && flipped.size <= MAX_FLIPPED ? [...flipped].join(",") : null,
        focus,
        q: search.value.trim(),
        crit: view.crit ? "true" : null,
      });
    }, ADDRESS_MS);
  }

  // --- selecting ---

  function select(row, { scroll = true } = {}) {
    view.sel = row;
    selected = row < 0 ? null : model.isFold(row) ? model.key(row) : model.id(model.rows.call[row]);
    if (row >= 0) {
      if (model.indexOfRow[row] < 0) {
        if (model.first && (row < model.first || row > model.first + model.rows.below[model.first])) {
          focus = null;
        }
        model.reveal(row, flipped);
        arrange();
      }
      if (scroll) show(row);
      describe(row);
      if (!panel.hidden && !model.isFold(row)) peek(panel, model, model.rows.call[row]);
    } else status.textContent = "";
    remember();
    requestDraw();
  }

  function show(row) {
    const top = model.indexOfRow[row] * ROW;
    const high = grid.clientHeight - body.offsetTop;
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (top + ROW > grid.scrollTop + high) grid.scrollTop = top + ROW - high;
  }

  function describe(row) {
    const { rows: columns } = model;
    if (model.isFold(row)) {
      status.textContent = `${rows.title(model, row)}: consecutive calls with the same name, collapsed`;
    } else {
      const call = columns.call[row];
      status.textContent = `${model.name(row)} · ${model.text(call, "model") ?? "—"} · ${model.reason(call)}`;
    }
  }

  function move(step) {
    if (!model?.nVisible) return;
    const index = view.sel < 0 ? (step > 0 ? -1 : model.nVisible) : model.indexOfRow[view.sel];
    select(model.visible[Math.min(Math.max(index + step, 0), model.nVisible - 1)]);
    grid.focus({ preventScroll: true });
  }

  function selectNext(what, matches) {
    if (!model) return;
    const row = model.next(view.sel, matches);
    if (row < 0) announce(`No ${what} found`);
    else {
      select(row);
      grid.focus({ preventScroll: true });
    }
  }

  function toggle(row, isOpen) {
    if (row < 0 || !model.rows.below[row]) return false;
    if (isOpen !== undefined && Boolean(model.open[row]) === isOpen) return false;
    model.toggle(row, flipped);
    resize();
    if (view.sel >= 0 && model.indexOfRow[view.sel] < 0) select(row, { scroll: false });
    remember();
    return true;
  }

  function open(row) {
    if (row >= 0 && !model.isFold(row)) location.href = `${root}/dashboard/calls/${model.id(model.rows.call[row])}/`;
    else toggle(row);
  }

  // --- time ---

  function setTime(from, to) {
    locked = true;
    lock.checked = true;
    [view.from, view.to] = [from, to];
    remember();
    requestDraw();
  }

  lock.checked = locked;
  lock.addEventListener("change", () => {
    locked = lock.checked;
    remember();
    requestDraw();
  });
  page.querySelector("#whole").addEventListener("click", () => setTime(0, model.end * (1 + LABEL_SHARE)));

  function zoomTime(by) {
    const at = view.sel >= 0 ? model.rows.begin[view.sel] : (view.from + view.to) / 2;
    const from = Math.max(0, at - (at - view.from) * by);
    setTime(from, from + Math.max((view.to - view.from) * by, 1));
  }
  onKeys("+", "Zoom in around the selected row", () => model && zoomTime(0.5));
  onKeys("-", "Zoom out", () => model && zoomTime(2));
  onKeys("0", "Fit the time range to the visible rows", () => lock.checked && lock.click());

  // --- pointer and keys ---

  grid.addEventListener("scroll", requestDraw, { passive: true });
  new ResizeObserver(() => {
    if (model) map.draw(model);
    requestDraw();
  }).observe(grid);
  new MutationObserver(() => model && (map.draw(model), requestDraw())).observe(document.documentElement, {
    attributeFilter: ["data-theme"],
  });

  grid.addEventListener("click", (event) => {
    const element = event.target.closest(".row[data-row]");
    if (!element) return;
    const row = Number(element.dataset.row);
    if (event.target.closest(".off")) {
      const begin = model.rows.begin[row];
      const span = view.to - view.from;
      setTime(Math.max(0, begin - span * 0.1), Math.max(0, begin - span * 0.1) + span);
    } else if (event.target.closest(".toggle") || (event.target.closest(".bar, .label") && model.isFold(row))) {
      toggle(row);
    }
    select(row, { scroll: false });
  });
  grid.addEventListener("mouseover", (event) => {
    const element = event.target.closest(".row[data-row]");
    if (element && model) describe(Number(element.dataset.row));
  });
  grid.addEventListener("mouseleave", () => {
    guide.hidden = true;
    if (view.sel >= 0) describe(view.sel);
    else status.textContent = "";
  });
  grid.addEventListener("mousemove", (event) => {
    const x = event.clientX - grid.getBoundingClientRect().left - rows.left();
    guide.hidden = x < 0 || !model;
    if (guide.hidden) return;
    guide.style.left = `${x + rows.left()}px`;
    guide.firstElementChild.textContent = duration(view.from + (x / rows.width()) * (view.to - view.from));
  });

  const inGrid = {
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    PageDown: () => move(20),
    PageUp: () => move(-20),
    Home: () => move(-Infinity),
    End: () => move(Infinity),
    Enter: () => open(view.sel),
    ArrowRight: () => toggle(view.sel, true) || (model.rows.below[view.sel] && move(1)),
    ArrowLeft: () => {
      if (toggle(view.sel, false)) return;
      const parent = view.sel >= 0 ? model.rows.parent[view.sel] : -1;
      if (parent >= 0 && model.indexOfRow[parent] >= 0) select(parent);
    },
  };
  grid.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !model) return;
    const run = inGrid[event.key];
    if (!run) return;
    event.preventDefault();
    event.stopPropagation();
    run();
  });
  onKeys("j", "Next row (or ↓)", () => move(1));
  onKeys("k", "Previous row (or ↑)", () => move(-1));
  onKeys("*", "Expand everything below the row (→ expands, ← collapses)", () => {
    if (view.sel < 0) return;
    model.openAll(view.sel, flipped);
    resize();
    remember();
  });
  onKeys("w", "Next budget warning", () => selectNext("budget warning", (call) => model.has(call, WARNED)));
  onKeys("e", "Next error", () => selectNext("error", (call) => model.has(call, ERROR | REFUSED)));
  onKeys("n", "Next call on the critical path", () => selectNext("call", (call) => model.has(call, CRITICAL)));
  onKeys("o", "Preview the call (Enter opens it)", () => {
    if (!panel.hidden) panel.hidden = true;
    else if (view.sel >= 0 && !model.isFold(view.sel)) peek(panel, model, model.rows.call[view.sel]);
    requestDraw();
  });
  onKeys("Escape", "Close the panel, then clear the selection", () => {
    if (!panel.hidden) panel.hidden = true;
    else if (focus) {
      focus = null;
      arrange();
      remember();
    } else select(-1);
  });
  onKeys("c", "Critical path", () => critical.click());
  onKeys("s", "Show only calls below the selected call", () => {
    if (view.sel < 0 || model.isFold(view.sel)) return;
    focus = selected;
    arrange();
    remember();
  });

  critical.addEventListener("change", () => {
    view.crit = critical.checked;
    remember();
    requestDraw();
  });
  crumbs.querySelector("button").addEventListener("click", () => {
    focus = null;
    arrange();
    remember();
  });
  panel.querySelector(".close").addEventListener("click", () => (panel.hidden = true));
  function runSearch() {
    const n = model.find(search.value);
    page.querySelector("#n-found").textContent = model.matches ? `${count(n)} found` : "";
    requestDraw();
  }
  search.addEventListener("input", () => {
    if (model) runSearch();
    remember();
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && model?.matches) {
      event.preventDefault();
      const row = model.next(view.sel, (call) => model.matches[call]);
      if (row >= 0) select(row);
    } else if (event.key === "Escape") grid.focus();
  });

  // --- the edge between tree and bars ---

  const edge = page.querySelector("[role=separator]");
  function setTree(width) {
    const wide = Math.round(Math.min(Math.max(width, 120), Math.max(grid.clientWidth - 120, 160)));
    page.style.setProperty("--tree", `${wide}px`);
    edge.setAttribute("aria-valuenow", wide);
    requestDraw();
    return wide;
  }
  edge.addEventListener("pointerdown", (event) => {
    edge.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  edge.addEventListener("pointermove", (event) => {
    if (edge.hasPointerCapture(event.pointerId)) {
      setCookie("trace_tree", setTree(event.clientX - grid.getBoundingClientRect().left));
    }
  });
  edge.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -16, ArrowRight: 16 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    setCookie("trace_tree", setTree(rows.left() + step));
  });

  const wide = Number(getCookie("trace_tree"));
  if (wide) setTree(wide);

  // --- data ---

  function apply(data) {
    const at = model && model.nVisible ? model.visible[rows.visible()[0]] : -1;
    const top = at >= 0 ? { key: model.key(at), rest: grid.scrollTop - model.indexOfRow[at] * ROW } : null;
    const isFirst = model === null;
    model = new Model(data);
    arrange();
    if (search.value) runSearch();
    map.draw(model);
    if (selected) {
      const call = model.callOf(selected);
      let row = call >= 0 ? model.rowOfCall[call] : rowOfKey(selected);
      if (row >= 0) {
        view.sel = row;
        if (model.indexOfRow[row] < 0) {
          model.reveal(row, flipped);
          arrange();
        }
        if (isFirst) show(row);
        describe(row);
      } else {
        view.sel = -1;
        missing.hidden = false;
        missing.querySelector("code").textContent = selected;
      }
    }
    if (top) {
      const row = rowOfKey(top.key);
      if (row >= 0 && model.indexOfRow[row] >= 0) grid.scrollTop = model.indexOfRow[row] * ROW + top.rest;
    }
    requestAnimationFrame(() => {
      draw();
      page.dataset.painted = "true";
      performance.mark("painted");
    });
  }

  function rowOfKey(key) {
    const isFold = key.startsWith("f");
    const seq = Number(isFold ? key.slice(1) : key);
    for (let row = 0; row < model.nRows; row++) {
      if (model.isFold(row) === isFold && model.calls.seq[model.rows.first[row]] === seq) return row;
    }
    return -1;
  }

  let recorded = null; // the data without running calls
  let running = [];
  refresh(page.dataset.trace, { session: page.dataset.session, place: page.dataset.place }, {
    onData(data) {
      recorded = data;
      apply(withRunning(data, running));
    },
    onRunning(calls) {
      running = calls;
      if (recorded) apply(withRunning(recorded, running));
    },
  });
  setInterval(() => {
    if (!running.length || !model) return;
    model.grow(running);
    requestDraw();
  }, GROW_MS);
}
