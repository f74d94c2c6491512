// Which nodes and edges are drawn: agents or their runs, siblings of one role as one.

import { agentColour } from "../colours.js";
import { spelledOut } from "../refresh.js";

const MAX_NODES = 60;

const SUMS = ["calls", "errors", "refused", "warned", "unpriced", "estimated", "cost", "ms", "in", "out"];
const TIED = [...SUMS, "running"];

/** {nodes, edges, isByRun, nTooMany}. `mode`: agg, exp (runs, unless they are too many) or all.
 * `opened`: the keys of siblings to be drawn one by one, as are those with the node `id`. */
export function drawn(data, mode, opened, id) {
  if (mode === "exp" || mode === "all") {
    const graph = data.runs && tied(data.runs, opened, id);
    if (graph && (mode === "all" || graph.nodes.length <= MAX_NODES)) return { ...graph, isByRun: true, nTooMany: 0 };
    return { ...tied(data.agents, opened, id), isByRun: false, nTooMany: graph ? graph.nodes.length : data.n_runs };
  }
  return { ...tied(data.agents, opened, id), isByRun: false, nTooMany: 0 };
}

/** The data with `running` of each agent: how many calls of it are under way. An agent whose first
 * call that is has a node of its own. */
export function withRunning(data, running) {
  if (!running.length) return data;
  const n = new Map();
  for (const { agent_name: agent } of running) n.set(agent, (n.get(agent) ?? 0) + 1);
  const nodes = data.agents.nodes.map((node) => ({ ...node, running: n.get(node.agent) ?? 0 }));
  for (const node of nodes) n.delete(node.agent);
  for (const [agent, count] of n) nodes.push(newNode(agent, count));
  return { ...data, agents: { ...data.agents, nodes } };
}

function newNode(agent, running) {
  const sums = Object.fromEntries(SUMS.map((name) => [name, ["cost", "ms", "in", "out"].includes(name) ? null : 0]));
  const label = agent === null ? "no agent name" : spelledOut(agent);
  return { ...sums, id: agent ?? " ", agent, label, run: null, colour: agentColour(agent), running };
}

function tied(graph, opened, id) {
  const nodes = [];
  const placeOf = new Int32Array(graph.nodes.length).fill(-1);
  const tieOf = new Map();
  for (const tie of graph.ties) {
    const key = `${tie.role} ×${graph.nodes[tie.members[0]].id}`;
    if (opened.has(key) || tie.members.some((member) => isMeant(graph.nodes[member], id))) continue;
    for (const member of tie.members) tieOf.set(member, { ...tie, key });
  }
  const placeOfTie = new Map();
  graph.nodes.forEach((node, at) => {
    const tie = tieOf.get(at);
    if (!tie) placeOf[at] = nodes.push(node) - 1;
    else {
      if (!placeOfTie.has(tie.key)) placeOfTie.set(tie.key, nodes.push(together(graph, tie)) - 1);
      placeOf[at] = placeOfTie.get(tie.key);
    }
  });
  const edges = new Map();
  for (const [source, target, count, why] of graph.edges) {
    const [from, to] = [placeOf[source], placeOf[target]];
    if (from === to) continue;
    const key = `${from} ${to}`;
    const known = edges.get(key);
    if (known) known.count += count;
    else edges.set(key, { source: from, target: to, count, why });
  }
  return { nodes, edges: [...edges.values()] };
}

function together(graph, tie) {
  const members = tie.members.map((member) => graph.nodes[member]);
  const sums = {};
  for (const name of TIED) {
    const known = members.map((node) => node[name] ?? null).filter((value) => value !== null);
    sums[name] = known.length ? known.reduce((a, b) => a + b, 0) : null;
  }
  return {
    ...sums,
    id: tie.key,
    key: tie.key,
    agent: null,
    label: `${tie.role} ×${members.length}`,
    colour: members[0].colour,
    members: members.length,
  };
}

/** The place of the node for `id`: a node's own, or in the other mode the agent's. */
export function placeOf(graph, id) {
  const place = graph.nodes.findIndex((node) => node.id === id);
  return place >= 0 ? place : graph.nodes.findIndex((node) => !node.members && isMeant(node, id));
}

function isMeant(node, id) {
  return id !== null && (node.id === id || node.agent === id || node.agent === id.replace(/#\d+$/, ""));
}

/** Where reading begins: a node that nobody handed over to. */
export function rootOf(graph) {
  const targets = new Set(graph.edges.map((edge) => edge.target));
  const root = graph.nodes.findIndex((node, place) => !targets.has(place) && node.calls > 0);
  return Math.max(root, 0);
}
