// Keeps a page's picture of a session up to date: listens to the live feed, and reads the session again
// when calls were recorded.

import { listen } from "./live.js";
import { count, usd } from "./numbers.js";

const PAUSE_MS = 2000; // between two readings

/** `changed(data)` with what `url` tells, whenever it tells something else; `runs(calls)` with the
 * session's calls that are under way, each with `begun`: the `performance.now()` of its beginning. */
export function refresh(url, { session, place }, { changed, runs }) {
  const running = new Map();
  let etag = null;
  let isWanted = false;
  let isReading = false;

  async function read() {
    // The first answer may be on its way already: the page preloads it.
    const response = await (etag === null ? fetch(url) : fetch(url, { cache: "no-cache" }));
    if (response.status === 404) location.reload(); // it was deleted: the page says so
    const now = response.headers.get("etag");
    if (!response.ok || now === etag) return;
    etag = now;
    changed(await response.json());
  }

  async function want() {
    isWanted = true;
    if (isReading) return;
    isReading = true;
    while (isWanted) {
      isWanted = false;
      await read().catch(() => {}); // the feed says that the connection is lost
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    isReading = false;
  }

  function take(told) {
    const now = performance.now();
    if (told.running) running.clear();
    for (const call of told.running ?? told.started ?? []) {
      running.set(call.action_id, { ...call, begun: now - (call.latency_ms ?? 0) });
    }
    for (const call of told.calls ?? []) running.delete(call.action_id);
    for (const id of told.ended ?? []) running.delete(id);
    if (told.running || told.started || told.calls || told.ended) runs([...running.values()]);
    if (told.sessions?.length) total(told.sessions.at(-1));
    if (told.calls?.length || told.deleted || told.type === "gap") want();
  }

  function total({ call_count: calls, total_cost_usd: cost, agents }) {
    const of = (n, what) => `${count(n)} ${what}${n === 1 ? "" : "s"}`;
    document.getElementById("totals").textContent = `${of(calls, "call")} · ${usd(cost)} · ${of(agents.length, "agent")}`;
  }

  function stateIs(state, seconds) {
    const lost = document.getElementById("lost");
    lost.hidden = state === "live";
    if (state === "lost") lost.textContent = `Connection lost: calls may be missing. Retrying in ${seconds} s.`;
  }

  want();
  listen({ session, limit: 1, sessions: true }, place, { onMessage: take, onState: stateIs });
}

/** A name on one line; what cannot be seen is spelled out, as the server does it. */
export function spelledOut(name) {
  return name.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u3164\ufe00-\ufe0f\uffa0]/gu, (hidden) => {
    const code = hidden.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    return `⟨U+${code}⟩`;
  });
}
