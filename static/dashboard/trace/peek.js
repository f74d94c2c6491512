// The panel with the facts of one call, beside the trace.

import { root } from "../browser.js";
import { count, duration, usd } from "../numbers.js";
import { ESTIMATED, WARNED } from "./model.js";

export function peek(panel, model, call) {
  const { calls } = model;
  const at = new Date(model.begin + calls.begin[call]);
  const about = model.has(call, ESTIMATED) ? "≈ " : "";
  const facts = {
    Model: model.text(call, "model") ?? "—",
    Outcome: `${model.text(call, "outcome")} ${calls.status[call] ?? ""}${model.has(call, WARNED) ? " · ⚠ budget warning" : ""}`,
    Started: formatTime(at),
    "First token": duration(calls.ttft[call]),
    Total: duration(calls.ms[call]),
    Tokens: `${about}${count(calls.in[call])} → ${count(calls.out[call])}`,
    Cost: `${calls.cost[call] === null ? "" : about}${usd(calls.cost[call])}`,
    Parent: model.reason(call),
  };
  panel.querySelector("h2").textContent = model.name(model.rowOfCall[call]);
  panel.querySelector("a").href = `${root}/dashboard/calls/${model.id(call)}/`;
  panel.querySelector("[data-copy]").dataset.copy = model.id(call);
  panel.querySelector("dl").replaceChildren(
    ...Object.entries(facts).map(([name, value]) => {
      const pair = document.createElement("div");
      const dt = document.createElement("dt");
      const dd = document.createElement("dd");
      dt.textContent = name;
      dd.textContent = value;
      pair.append(dt, dd);
      return pair;
    }),
  );
  panel.hidden = false;
}

/** Returns a time with its offset from UTC, as in the rest of the page. */
function formatTime(at) {
  if (document.documentElement.dataset.zone === "UTC") {
    return `${at.toISOString().slice(0, 23).replace("T", " ")} UTC`;
  }
  const offset = -at.getTimezoneOffset();
  const two = (number) => String(Math.floor(number)).padStart(2, "0");
  const here = new Date(at.getTime() + offset * 60_000).toISOString().slice(0, 23).replace("T", " ");
  return `${here} UTC${offset < 0 ? "-" : "+"}${two(Math.abs(offset) / 60)}:${two(Math.abs(offset) % 60)}`;
}
