// A graph as SVG.

import { count, duration, usdOf } from "../numbers.js";
import { fifths, heat } from "../heat.js";

const SVG = "http://www.w3.org/2000/svg";
export const WIDTH = 216, HEIGHT = 74;
const LONGEST = 25; // characters of a name

export function svg(kind, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const cut = (text) => ([...text].length > LONGEST ? `${[...text].slice(0, LONGEST - 1).join("")}…` : text);

export function costOf(node) {
  return usdOf(node.cost, node.calls, node.unpriced, node.estimated);
}

export function meanOf(node) {
  return node.ms === null || !node.calls ? null : node.ms / node.calls;
}

export function labelOf(node) {
  return node.run > 1 ? `${node.label} (${node.run})` : node.label;
}

/** Returns the description of a node for screen readers. */
export function describe(node) {
  const parts = [labelOf(node), `${count(node.calls)} ${node.calls === 1 ? "call" : "calls"}`];
  if (node.calls) parts.push(`cost ${costOf(node)}`, `${duration(meanOf(node))} per call`);
  if (node.running) parts.push(`${node.running} running`);
  if (node.errors) parts.push(`${node.errors} errors`);
  if (node.refused) parts.push(`${node.refused} refused`);
  if (node.warned) parts.push(`${node.warned} budget warnings`);
  if (node.members) parts.push("click to expand");
  return parts.join(", ");
}

export function drawNodes(graph, positions) {
  const edges = fifths(graph.nodes.map((node) => node.cost));
  const most = Math.max(...graph.nodes.map((node) => node.cost ?? 0), 1e-12);
  return graph.nodes.map((node, index) => {
    const [x, y] = positions[index];
    const worst = node.errors || node.refused ? "bad" : node.warned ? "warn" : "";
    const stack = node.members ? [svg("rect", { class: "card under", x: 5, y: 5, width: WIDTH, height: HEIGHT, rx: 8 })] : [];
    const state = [
      node.running ? `◌ ${count(node.running)} running` : "",
      node.errors ? `✕ ${count(node.errors)}` : "",
      node.refused ? `⛔ ${count(node.refused)}` : "",
      node.warned ? `⚠ ${count(node.warned)}` : "",
    ].filter(Boolean);
    const calls = node.calls === 1 ? "1 call" : `${count(node.calls)} calls`;
    const made = svg(
      "g",
      {
        class: `node agent-${node.colour} ${worst}${node.calls ? "" : " named"}${node.running ? " running" : ""}`,
        transform: `translate(${x - WIDTH / 2} ${y - HEIGHT / 2})`,
        role: "button",
        tabindex: -1,
        "aria-label": describe(node),
        "aria-pressed": "false",
      },
      ...stack,
      svg("rect", { class: "card", width: WIDTH, height: HEIGHT, rx: 8 }),
      svg("rect", { class: "colour", x: 6, y: 8, width: 5, height: HEIGHT - 16, rx: 2 }),
      svg("text", { class: "title", x: 20, y: 22 }, cut(labelOf(node))),
      svg("text", { x: 20, y: 41 }, node.calls ? `${calls} · ${costOf(node)}` : node.running ? "first call" : "named only: 0 calls"),
      svg("text", { x: 20, y: 58 }, [node.calls ? `⌀ ${duration(meanOf(node))}` : "", ...state].filter(Boolean).join(" · ")),
      svg("rect", { class: "heat-track", x: 20, y: 65, width: WIDTH - 32, height: 4, rx: 2 }),
      svg("rect", { class: `heat heat-is-${heat(node.cost, edges)}`, x: 20, y: 65, width: ((node.cost ?? 0) / most) * (WIDTH - 32), height: 4, rx: 2 }),
      svg("title", {}, describe(node)),
    );
    made.dataset.node = node.id;
    return made;
  });
}

/** `why` has the explanation of each kind of evidence; kinds in `inferred` are drawn dashed. */
export function drawEdges(graph, layout, why, inferred) {
  return graph.edges.map((edge, at) => {
    const points = layout.edges[at];
    const isBack = layout.nodes[edge.target][1] < layout.nodes[edge.source][1];
    const [x, y] = points[Math.floor(points.length / 2)];
    const [source, target] = [graph.nodes[edge.source], graph.nodes[edge.target]];
    const made = svg(
      "g",
      { class: `edge${inferred.includes(edge.why) ? " inferred" : ""}` },
      svg("path", { class: "wide", d: curve(points) }),
      svg("path", { class: "line", d: curve(points), "marker-end": "url(#arrow)" }),
      ...(edge.count > 1 || isBack ? [svg("text", { x: x + 6, y: y + 4 }, `${isBack ? "↺ " : ""}×${count(edge.count)}`)] : []),
      svg("title", {}, `${labelOf(source)} → ${labelOf(target)}, ${edge.count === 1 ? "once" : `${count(edge.count)} times`}: ${why[edge.why]}`),
    );
    made.dataset.from = source.id;
    made.dataset.to = target.id;
    return made;
  });
}

/** Returns a path through all points, rounded at each. */
function curve(points) {
  const [first, ...rest] = points;
  let path = `M${first[0]} ${first[1]}`;
  for (let at = 0; at < rest.length - 1; at++) {
    const [x, y] = rest[at];
    const [nextX, nextY] = rest[at + 1];
    path += `Q${x} ${y} ${(x + nextX) / 2} ${(y + nextY) / 2}`;
  }
  const [x, y] = rest.at(-1);
  return `${path}L${x} ${y}`;
}

export function arrow() {
  return svg(
    "defs",
    {},
    svg(
      "marker",
      { id: "arrow", viewBox: "0 0 10 10", refX: 9, refY: 5, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" },
      svg("path", { class: "tip", d: "M0 1L9 5L0 9z" }),
    ),
  );
}
