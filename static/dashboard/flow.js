// The Flow page: connects its parts, and keeps the reader's choices in the address.

import { root, setParameters } from "./browser.js";
import { onKeys } from "./keys.js";
import { count } from "./numbers.js";
import { refresh } from "./refresh.js";
import { HEIGHT, WIDTH, arrow, drawEdges, drawNodes, svg } from "./flow/draw.js";
import { download } from "./flow/export.js";
import { graphToDraw, indexOfNode, indexOfRoot, withRunning } from "./flow/graph.js";
import { showCalls, showNode } from "./flow/panel.js";
import { View } from "./flow/view.js";

const page = document.querySelector("[data-flow]");
const IN_WORKER = 150; // nodes; the layout of more would block the page
const MAP_FROM = 60; // nodes
const FADED_FROM = 60; // edges
const ADDRESS_MS = 200;

if (page) start();

function start() {
  const picture = page.querySelector("svg");
  const panel = page.querySelector("#node");
  const tooMany = page.querySelector("#too-many");
  const missing = page.querySelector("#missing");
  const table = page.querySelector("#table");
  const given = new URL(location.href).searchParams;
  const { session } = page.dataset;
  const world = svg("g", { class: "world" });
  picture.append(arrow(), world);

  let data = JSON.parse(document.getElementById("flow-data").textContent);
  let mode = given.get("mode") ?? "agg";
  let node = given.get("node");
  let graph = null;
  let layout = null;
  let shape = "";
  let zoomed = given.get("z")?.split(",").map(Number) ?? null;
  if (zoomed && (zoomed.length !== 3 || !zoomed.every(Number.isFinite) || zoomed[2] <= 0)) zoomed = null;
  let isMoved = zoomed !== null;
  const expanded = new Set();
  let elements = [];
  let listed = ""; // identifies the node whose calls the panel shows
  let running = [];

  let timer = 0;
  const view = new View(picture, world, page.querySelector(".minimap"), {
    onChange(x, y, k) {
      page.querySelector("#zoom").textContent = `${Math.round(k * 100)} %`;
      zoomed = [Math.round(x), Math.round(y), Number(k.toFixed(3))];
      if (isMoved) remember();
    },
    onMove: () => (isMoved = true),
  });

  function remember() {
    clearTimeout(timer);
    timer = setTimeout(() => setParameters({ mode: mode === "agg" ? null : mode, node, z: isMoved ? zoomed.join(",") : null }), ADDRESS_MS);
    const agent = graph && node !== null ? graph.nodes[indexOfNode(graph, node)]?.agent : null;
    for (const [route, name] of [[`${root}/`, "agent"], [`${root}/dashboard/trace/`, "q"]]) {
      for (const link of document.querySelectorAll(`.top nav a[href^="${route}?"], .top nav a[href="${route}"], #node a[data-to="${route}"]`)) {
        const query = new URLSearchParams({ session });
        if (agent) query.set(name, agent);
        link.href = `${route}?${query}`;
      }
    }
  }

  // --- drawing ---

  async function draw() {
    graph = graphToDraw(withRunning(data, running), mode, expanded, node);
    tooMany.hidden = !graph.nTooMany;
    tooMany.querySelector("b").textContent = count(graph.nTooMany);
    tooMany.querySelector("button").hidden = !data.runs;
    const input = {
      sizes: graph.nodes.map(() => [WIDTH, HEIGHT]),
      edges: graph.edges.map((edge) => [edge.source, edge.target]),
    };
    const now = JSON.stringify([graph.nodes.map((one) => one.id), input.edges]);
    if (now !== shape) {
      const begun = performance.now();
      const requested = graph;
      const found = graph.nodes.length > IN_WORKER ? await inWorker(input) : layOut(input);
      if (requested !== graph) return; // the reader has changed the graph since
      layout = found;
      performance.measure("layout", { start: begun, end: performance.now() });
    }
    const isNew = now !== shape;
    shape = now;
    const focused = document.activeElement?.closest?.(".node")?.dataset.node;
    const nodes = drawNodes(graph, layout.nodes);
    elements = nodes;
    world.replaceChildren(
      svg("g", { class: `edges${graph.edges.length > FADED_FROM ? " faded" : ""}` }, ...drawEdges(graph, layout, data.why, data.inferred)),
      svg("g", { class: "nodes" }, ...nodes),
    );
    view.useMap(graph.nodes.length > MAP_FROM ? layout : null, nodes.map((one) => getComputedStyle(one.querySelector(".colour")).fill));
    for (const button of page.querySelectorAll("[data-mode]")) {
      button.setAttribute("aria-pressed", String(button.dataset.mode === (graph.isByRun ? "exp" : "agg")));
    }
    nodes.find((one) => one.dataset.node === focused)?.focus({ preventScroll: true });
    mark(); // before placing the picture, because the panel takes up room
    if (isNew) place();
    page.dataset.painted = "true";
    performance.mark("painted");
  }

  function inWorker(input) {
    const worker = new Worker(new URL("./flow/layout.js", import.meta.url));
    return new Promise((resolve) => {
      worker.onmessage = ({ data: found }) => {
        worker.terminate();
        resolve(found);
      };
      worker.postMessage(input);
    });
  }

  function place() {
    if (isMoved && zoomed) {
      view.set(...zoomed);
      return;
    }
    const [width, height] = view.size();
    const at = node === null || (layout.width <= width && layout.height <= height) ? -1 : indexOfNode(graph, node);
    const [x, y] = layout.nodes[at >= 0 ? at : indexOfRoot(graph)] ?? [0, 0];
    if (at >= 0) view.centre(x, y, 1);
    else view.begin(x, y - HEIGHT / 2, layout);
  }

  // --- selecting ---

  function mark() {
    const at = node === null ? -1 : indexOfNode(graph, node);
    const isMissing = node !== null && at < 0;
    missing.hidden = !isMissing;
    if (isMissing) missing.querySelector("code").textContent = node;
    picture.classList.toggle("has-selected", at >= 0);
    const near = new Set([at]);
    for (const edge of graph.edges) {
      if (edge.source === at) near.add(edge.target);
      if (edge.target === at) near.add(edge.source);
    }
    elements.forEach((element, one) => {
      element.setAttribute("aria-pressed", String(one === at));
      element.classList.toggle("near", near.has(one));
      element.setAttribute("tabindex", one === (at >= 0 ? at : indexOfRoot(graph)) ? 0 : -1);
    });
    [...world.querySelectorAll(".edge")].forEach((element, edge) => {
      element.classList.toggle("chosen", at >= 0 && [graph.edges[edge].source, graph.edges[edge].target].includes(at));
    });
    if (at >= 0) {
      showNode(panel, graph, at, data.why, (other) => choose(other));
      const shown = JSON.stringify([node, graph.nodes[at].calls, graph.nodes[at].until]);
      if (shown !== listed) showCalls(panel, page.dataset.calls, session, graph.nodes[at]);
      listed = shown;
    } else panel.hidden = true;
    remember();
  }

  /** `at` is a node's index, or -1 for none. */
  function choose(at) {
    const chosen = graph.nodes[at];
    if (chosen?.members) {
      expanded.add(chosen.key);
      draw();
      return;
    }
    node = chosen ? chosen.id : null;
    mark();
    if (chosen) focusOn(at);
  }

  function focusOn(at) {
    for (const element of elements) element.setAttribute("tabindex", -1);
    elements[at].setAttribute("tabindex", 0);
    elements[at].focus({ preventScroll: true });
    view.show(...layout.nodes[at], WIDTH, HEIGHT);
  }

  picture.addEventListener("click", (event) => {
    const element = event.target.closest(".node");
    choose(element ? elements.indexOf(element) : -1);
  });
  picture.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = elements.indexOf(event.target.closest(".node"));
    if (at < 0) return;
    if (event.key === "Enter" || event.key === " ") choose(at);
    else {
      const next = neighbour(at, event.key);
      if (next === undefined) return;
      if (next >= 0) focusOn(next);
    }
    event.preventDefault();
    event.stopPropagation();
  });

  /** Returns the node in the direction of an arrow key: along the edges, or beside at the same height. */
  function neighbour(at, key) {
    const [x, y] = layout.nodes[at];
    const nearest = (nodes) =>
      nodes.length ? nodes.reduce((a, b) => (Math.abs(layout.nodes[a][0] - x) <= Math.abs(layout.nodes[b][0] - x) ? a : b)) : -1;
    const beside = (is) => nearest(graph.nodes.map((_, one) => one).filter((one) => Math.abs(layout.nodes[one][1] - y) < HEIGHT / 2 && is(layout.nodes[one][0])));
    switch (key) {
      case "ArrowDown":
        return nearest(graph.edges.filter((edge) => edge.source === at).map((edge) => edge.target));
      case "ArrowUp":
        return nearest(graph.edges.filter((edge) => edge.target === at).map((edge) => edge.source));
      case "ArrowRight":
        return beside((other) => other > x);
      case "ArrowLeft":
        return beside((other) => other < x);
      default:
        return undefined;
    }
  }

  // --- buttons and keys ---

  const actions = {
    fit: () => view.fit(layout),
    whole: () => {
      const at = node === null ? -1 : indexOfNode(graph, node);
      const [x, y] = layout.nodes[at >= 0 ? at : indexOfRoot(graph)] ?? [0, 0];
      view.centre(x, y, 1);
    },
    closer: () => view.zoom(1.25),
    farther: () => view.zoom(0.8),
  };
  page.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.view && layout) {
      isMoved = true;
      actions[button.dataset.view]();
    } else if (button.dataset.mode) {
      mode = button.dataset.mode;
      isMoved = false;
      zoomed = null;
      draw();
    } else if (button.id === "as-table") {
      showTable(table.hidden);
    } else if (button.id === "download") download(picture, layout, `flow-${session}`);
    else if (button.classList.contains("close")) choose(-1);
  });
  let isTableOld = false;
  async function showTable(isWanted) {
    if (isWanted && isTableOld) {
      const html = await (await fetch(`${location.pathname}?${new URLSearchParams({ session })}`)).text();
      const fresh = new DOMParser().parseFromString(html, "text/html").getElementById("table");
      if (fresh) table.replaceChildren(...fresh.children);
      isTableOld = false;
    }
    table.hidden = !isWanted;
    page.querySelector("#as-table").setAttribute("aria-pressed", String(isWanted));
    if (isWanted) table.scrollIntoView({ block: "nearest" });
  }

  onKeys("Escape", "Clear the selection", () => choose(-1));
  new MutationObserver(() => layout && draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });

  page.querySelector(".canvas-box").hidden = false;
  table.hidden = true;
  draw();
  refresh(page.dataset.flow, { session, place: page.dataset.place }, {
    onData(fresh) {
      data = fresh;
      isTableOld = true;
      draw();
      if (!table.hidden) showTable(true);
    },
    onRunning(calls) {
      running = calls;
      draw();
    },
  });
}
