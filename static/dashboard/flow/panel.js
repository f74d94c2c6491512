// The panel of a node: its figures, its handoffs and its calls.

import { shade } from "../heat.js";
import { count, duration } from "../numbers.js";
import { costOf, labelOf, meanOf } from "./draw.js";

function element(kind, text, attributes = {}) {
  const made = document.createElement(kind);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** `select(index)` selects another node. */
export function showNode(panel, graph, index, why, select) {
  const node = graph.nodes[index];
  panel.querySelector("h2").textContent = labelOf(node);
  const facts = {
    Calls: count(node.calls),
    Cost: node.calls ? costOf(node) : "—",
    "Latency per call": duration(meanOf(node)),
    "Total latency": duration(node.ms),
    "Tokens in → out": `${count(node.in)} → ${count(node.out)}`,
    "Errors, refused": `${count(node.errors)}, ${count(node.refused)}`,
    "Budget warnings": count(node.warned),
  };
  panel.querySelector("dl").replaceChildren(
    ...Object.entries(facts).map(([name, value]) => {
      const pair = document.createElement("div");
      pair.append(element("dt", name), element("dd", value));
      return pair;
    }),
  );
  const links = graph.edges.flatMap((edge) => {
    if (edge.source === index) return [["to", edge.target, edge]];
    return edge.target === index ? [["from", edge.source, edge]] : [];
  });
  panel.querySelector(".edges").replaceChildren(
    ...links.map(([direction, other, edge]) => {
      const item = document.createElement("li");
      const button = element("button", `${direction === "to" ? "→" : "←"} ${labelOf(graph.nodes[other])}`, { type: "button", class: "quiet" });
      button.addEventListener("click", () => select(other));
      item.append(button, element("span", ` ×${count(edge.count)}, ${why[edge.why]}`, { class: "muted" }));
      return item;
    }),
  );
  panel.hidden = false;
}

let latestRequest = 0;

/** Shows the node's calls; the previous ones stay until the server has responded. */
export async function showCalls(panel, url, session, node) {
  const box = panel.querySelector(".calls");
  const ownRequest = ++latestRequest;
  if (!node.calls) {
    box.replaceChildren(element("p", "Named in a handoff, without recorded calls.", { class: "muted" }));
    return;
  }
  const query = new URLSearchParams({ session });
  if (node.agent === null) query.set("unnamed", "true");
  else query.set("agent", node.agent);
  if (node.run) {
    query.set("since", node.since);
    query.set("until", node.until);
  }
  const response = await fetch(`${url}?${query}`, { headers: { accept: "text/html" } });
  const html = response.ok ? await response.text() : "";
  if (ownRequest !== latestRequest) return;
  if (html) {
    box.innerHTML = html;
    shade(box);
  } else box.replaceChildren(element("p", "The calls could not be loaded.", { class: "muted" }));
}
