// The page of one call: formatted or as sent, and the operators' actions.

import "./actions.js";

const pretty = document.getElementById("pretty");
pretty?.addEventListener("click", () => {
  const isAsSent = document.body.classList.toggle("as-sent");
  pretty.setAttribute("aria-pressed", String(!isAsSent));
});

// A link to a message in a closed <details> opens it.
const target = location.hash.startsWith("#msg-") && document.getElementById(location.hash.slice(1));
if (target) {
  for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  target.scrollIntoView();
}
