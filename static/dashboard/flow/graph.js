// The nodes and edges to draw: agents or their runs, with siblings of one role as one node.

import { agentColour } from "../colours.js";
import { spellOut } from "../refresh.js";

const MAX_NODES = 60;

const SUMS = ["calls", "errors", "refused", "warned", "unpriced", "estimated", "cost", "ms", "in", "out"];
const GROUP_SUMS = [...SUMS, "running"];

/**
 * Returns {nodes, edges, isByRun, nTooMany}. `mode` is agg (agents), exp (runs, unless there are too
 * many) or all (runs). Siblings are drawn one by one when the key of their group is in `expanded`, or
 * when one of them is the node `id`.
 */
export function graphToDraw(data, mode, expanded, id) {
  if (mode === "exp" || mode === "all") {
    const graph = data.runs && groupSiblings(data.runs, expanded, id);
    if (graph && (mode === "all" || graph.nodes.length <= MAX_NODES)) return { ...graph, isByRun: true, nTooMany: 0 };
    return { ...groupSiblings(data.agents, expanded, id), isByRun: false, nTooMany: graph ? graph.nodes.length : data.n_runs };
  }
  return { ...groupSiblings(data.agents, expanded, id), isByRun: false, nTooMany: 0 };
}

/** Adds to each agent the number of its `running` calls; an agent without recorded calls gets a node. */
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
  const label = agent === null ? "no agent name" : spellOut(agent);
  return { ...sums, id: agent ?? " ", agent, label, run: null, colour: agentColour(agent), running };
}

function groupSiblings(graph, expanded, id) {
  const nodes = [];
  const indexOf = new Int32Array(graph.nodes.length).fill(-1);
  const groupOf = new Map();
  for (const group of graph.groups) {
    const key = `${group.role} ×${graph.nodes[group.members[0]].id}`;
    if (expanded.has(key) || group.members.some((member) => matches(graph.nodes[member], id))) continue;
    for (const member of group.members) groupOf.set(member, { ...group, key });
  }
  const indexOfGroup = new Map();
  graph.nodes.forEach((node, at) => {
    const group = groupOf.get(at);
    if (!group) indexOf[at] = nodes.push(node) - 1;
    else {
      if (!indexOfGroup.has(group.key)) indexOfGroup.set(group.key, nodes.push(groupNode(graph, group)) - 1);
      indexOf[at] = indexOfGroup.get(group.key);
    }
  });
  const edges = new Map();
  for (const [source, target, count, why] of graph.edges) {
    const [from, to] = [indexOf[source], indexOf[target]];
    if (from === to) continue;
    const key = `${from} ${to}`;
    const known = edges.get(key);
    if (known) known.count += count;
    else edges.set(key, { source: from, target: to, count, why });
  }
  return { nodes, edges: [...edges.values()] };
}

function groupNode(graph, group) {
  const members = group.members.map((member) => graph.nodes[member]);
  const sums = {};
  for (const name of GROUP_SUMS) {
    const known = members.map((node) => node[name] ?? null).filter((value) => value !== null);
    sums[name] = known.length ? known.reduce((a, b) => a + b, 0) : null;
  }
  return {
    ...sums,
    id: group.key,
    key: group.key,
    agent: null,
    label: `${group.role} ×${members.length}`,
    colour: members[0].colour,
    members: members.length,
  };
}

/** Returns the index of the node `id`, in the other mode that of its agent; -1 when there is none. */
export function indexOfNode(graph, id) {
  const index = graph.nodes.findIndex((node) => node.id === id);
  return index >= 0 ? index : graph.nodes.findIndex((node) => !node.members && matches(node, id));
}

function matches(node, id) {
  return id !== null && (node.id === id || node.agent === id || node.agent === id.replace(/#\d+$/, ""));
}

/** Returns the index of the node to read first: one without a handoff to it. */
export function indexOfRoot(graph) {
  const targets = new Set(graph.edges.map((edge) => edge.target));
  const root = graph.nodes.findIndex((node, index) => !targets.has(index) && node.calls > 0);
  return Math.max(root, 0);
}
