// Running calls as the last rows of a trace, from what the live feed says about them.

import { agentColour } from "../colours.js";
import { spellOut } from "../refresh.js";

/** Returns the server's columns with those of the `running` calls appended. */
export function withRunning(data, running) {
  if (!running.length) return data;
  const calls = Object.fromEntries(Object.entries(data.calls).map(([name, column]) => [name, name === "ids" ? column : [...column]]));
  const rows = { ...data.rows, call: [...data.rows.call], parent: [...data.rows.parent] };
  const names = [...data.names];
  const colours = [...data.colours];
  const index = (name) => {
    const shown = name === null ? null : spellOut(name);
    const known = names.indexOf(shown);
    if (known >= 0) return known;
    colours.push(agentColour(name));
    return names.push(shown) - 1;
  };
  const now = performance.now();
  running.forEach((call, at) => {
    const parent = call.parent_action_id ? indexOfCall(data.calls.ids, call.parent_action_id) : -1;
    const own = {
      seq: -1 - at, // assigned when the call is recorded
      name: index(call.agent_name ?? call.model_id),
      model: index(call.model_id),
      outcome: index("running"),
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
      evidence: index(parent >= 0 ? "given" : "none"),
      tool: index(null),
    };
    for (const [name, value] of Object.entries(own)) calls[name].push(value);
    calls.ids += call.action_id.replaceAll("-", "");
    rows.call.push(calls.seq.length - 1);
    rows.parent.push(-1);
  });
  return { ...data, calls, rows, names, colours };
}

function indexOfCall(ids, id) {
  const hex = id.replaceAll("-", "");
  for (let at = ids.indexOf(hex); at >= 0; at = ids.indexOf(hex, at + 1)) {
    if (at % 32 === 0) return at / 32;
  }
  return -1;
}
