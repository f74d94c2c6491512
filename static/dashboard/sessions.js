// The list of sessions: reloads its totals when calls arrive, unless the reader is using it.

import { listen } from "./live.js";
import { selectable } from "./rows.js";

const RELOAD_EVERY_MS = 2000;
const list = document.getElementById("sessions");
let due = null;

function isInUse() {
  return list.scrollTop > 0 || list.matches(":hover") || list.contains(document.activeElement) || !getSelection().isCollapsed;
}

async function reload() {
  due = null;
  if (isInUse()) {
    due = setTimeout(reload, RELOAD_EVERY_MS);
    return;
  }
  const response = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!response.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  document.getElementById("rows").replaceChildren(...page.getElementById("rows").childNodes);
  document.getElementById("total").textContent = page.getElementById("total").textContent;
}

function apply(message) {
  if (message.type === "hello" || (!message.calls && !message.deleted && !message.sessions && message.type !== "gap")) return;
  due ??= setTimeout(reload, RELOAD_EVERY_MS);
}

selectable(document.getElementById("rows"), { list: () => "" });
if (list.dataset.isFirst === "yes") {
  listen("limit=1&sessions=true", list.dataset.place, { onMessage: apply, onState: () => {} });
}
