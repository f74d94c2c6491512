// One call: readable or as sent, and what operators do with it.

import "./acting.js";

const pretty = document.getElementById("pretty");
pretty?.addEventListener("click", () => {
  const isAsSent = document.body.classList.toggle("as-sent");
  pretty.setAttribute("aria-pressed", String(!isAsSent));
});

// A link to a message that is folded away unfolds it.
const target = location.hash.startsWith("#msg-") && document.getElementById(location.hash.slice(1));
if (target) {
  for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  target.scrollIntoView();
}
