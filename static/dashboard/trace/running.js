// Calls under way, as the last rows of a trace: what the feed tells of them is enough for a bar.

import { agentColour } from "../colours.js";
import { spelledOut } from "../refresh.js";

/** The server's columns, and after them those of `running`. */
export function withRunning(data, running) {
  if (!running.length) return data;
  const calls = Object.fromEntries(Object.entries(data.calls).map(([name, column]) => [name, name === "ids" ? column : [...column]]));
  const rows = { ...data.rows, call: [...data.rows.call], parent: [...data.rows.parent] };
  const names = [...data.names];
  const colours = [...data.colours];
  const place = (name) => {
    const shown = name === null ? null : spelledOut(name);
    const known = names.indexOf(shown);
    if (known >= 0) return known;
    colours.push(agentColour(name));
    return names.push(shown) - 1;
  };
  const now = performance.now();
  running.forEach((call, at) => {
    const parent = call.parent_action_id ? placeOf(data.calls.ids, call.parent_action_id) : -1;
    const own = {
      seq: -1 - at, // it has none yet
      name: place(call.agent_name ?? call.model_id),
      model: place(call.model_id),
      outcome: place("running"),
      status: null,
      attempt: 1,
      begin: Math.max(0, Date.parse(call.timestamp) - data.begin),
      ttft: null,
      ms: now - call.begun,
      in: null,
      out: null,
      cost: null,
      flags: call.budget_warning ? 4 : 0,
      parent,
      evidence: place(parent >= 0 ? "given" : "none"),
      tool: place(null),
    };
    for (const [name, value] of Object.entries(own)) calls[name].push(value);
    calls.ids += call.action_id.replaceAll("-", "");
    rows.call.push(calls.seq.length - 1);
    rows.parent.push(-1);
  });
  return { ...data, calls, rows, names, colours };
}

function placeOf(ids, id) {
  const hex = id.replaceAll("-", "");
  for (let at = ids.indexOf(hex); at >= 0; at = ids.indexOf(hex, at + 1)) {
    if (at % 32 === 0) return at / 32;
  }
  return -1;
}
