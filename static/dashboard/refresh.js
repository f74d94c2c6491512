// Keeps the picture of a session up to date: follows the live feed and loads the session again when
// calls have been recorded.

import { listen } from "./live.js";
import { count, usd } from "./numbers.js";

const PAUSE_MS = 2000; // between two loads

/**
 * Calls `onData(data)` with the content of `url` whenever it has changed, and `onRunning(calls)` with
 * the session's running calls, each with `begun`, the `performance.now()` of its beginning.
 */
export function refresh(url, { session, place }, { onData, onRunning }) {
  const running = new Map();
  let etag = null;
  let isStale = false;
  let isLoading = false;

  async function load() {
    // The page preloads the first response.
    const response = await (etag === null ? fetch(url) : fetch(url, { cache: "no-cache" }));
    if (response.status === 404) location.reload(); // the session was deleted: the page says so
    const newEtag = response.headers.get("etag");
    if (!response.ok || newEtag === etag) return;
    etag = newEtag;
    onData(await response.json());
  }

  async function loadSoon() {
    isStale = true;
    if (isLoading) return;
    isLoading = true;
    while (isStale) {
      isStale = false;
      await load().catch(() => {}); // the feed reports a lost connection
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    isLoading = false;
  }

  function apply(message) {
    const now = performance.now();
    if (message.running) running.clear();
    for (const call of message.running ?? message.started ?? []) {
      running.set(call.action_id, { ...call, begun: now - (call.latency_ms ?? 0) });
    }
    for (const call of message.calls ?? []) running.delete(call.action_id);
    for (const id of message.ended ?? []) running.delete(id);
    if (message.running || message.started || message.calls || message.ended) onRunning([...running.values()]);
    if (message.sessions?.length) showTotals(message.sessions.at(-1));
    if (message.calls?.length || message.deleted || message.type === "gap") loadSoon();
  }

  function showTotals({ call_count: calls, total_cost_usd: cost, agents }) {
    const plural = (n, noun) => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
    document.getElementById("totals").textContent = `${plural(calls, "call")} · ${usd(cost)} · ${plural(agents.length, "agent")}`;
  }

  function showConnection(state, seconds) {
    const lost = document.getElementById("lost");
    lost.hidden = state === "live";
    if (state === "lost") lost.textContent = `Connection lost: calls may be missing. Retrying in ${seconds} s.`;
  }

  loadSoon();
  listen({ session, limit: 1, sessions: true }, place, { onMessage: apply, onState: showConnection });
}

/** Returns a name on one line with invisible characters spelled out, as the server does. */
export function spellOut(name) {
  return name.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u3164\ufe00-\ufe0f\uffa0]/gu, (hidden) => {
    const code = hidden.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    return `⟨U+${code}⟩`;
  });
}
