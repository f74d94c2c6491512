// The list of sessions: its totals are read again when calls come, unless the reader is in it.

import { listen } from "./live.js";
import { selectable } from "./rows.js";

const AT_MOST_EVERY_MS = 2000;
const list = document.getElementById("sessions");
let due = null;

function isLookedAt() {
  return list.scrollTop > 0 || list.matches(":hover") || list.contains(document.activeElement) || !getSelection().isCollapsed;
}

async function readAgain() {
  due = null;
  if (isLookedAt()) {
    due = setTimeout(readAgain, AT_MOST_EVERY_MS);
    return;
  }
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.getElementById("rows").replaceChildren(...page.getElementById("rows").childNodes);
  document.getElementById("total").textContent = page.getElementById("total").textContent;
}

function take(told) {
  if (told.type === "hello" || (!told.calls && !told.deleted && !told.sessions && told.type !== "gap")) return;
  due ??= setTimeout(readAgain, AT_MOST_EVERY_MS);
}

selectable(document.getElementById("rows"), { list: () => "" });
if (list.dataset.isFirst === "yes") {
  listen("limit=1&sessions=true", list.dataset.place, { onMessage: take, onState: () => {} });
}
