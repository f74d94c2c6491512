// A table of calls: selecting, opening and previewing its rows.

import { root, setParameters } from "./browser.js";
import { onKeys } from "./keys.js";

/**
 * Makes the rows of a table body selectable. `peek` is the panel for the preview, `onPeek(isOpen)` is
 * called when it opens or closes. `list()` returns the query of the list that the opened call's page
 * links back to, or "". `onMissing(id)` is called when the address selects a row that is not there.
 */
export function selectable(body, { peek = null, onPeek = () => {}, list = () => location.search, onMissing = () => {} } = {}) {
  const selected = () => body.querySelector('tr[aria-selected="true"]');

  function select(row) {
    selected()?.removeAttribute("aria-selected");
    if (row) {
      row.setAttribute("aria-selected", "true");
      row.scrollIntoView({ block: "nearest" });
      if (peek && !peek.hidden) open(row);
    }
    setParameters({ sel: row?.dataset.call ?? null });
  }

  function step(by) {
    const rows = [...body.rows];
    const at = rows.indexOf(selected());
    select(rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + by))]);
  }

  async function open(row) {
    const response = await fetch(`${root}/dashboard/calls/${row.dataset.call}/peek`);
    if (!row.isConnected) return;
    peek.innerHTML = response.ok ? await response.text() : `<p>The call could not be loaded (${response.status}).</p>`;
    peek.hidden = false;
    onPeek(true);
  }

  function close() {
    peek.hidden = true;
    peek.replaceChildren();
    onPeek(false);
  }

  // The call's page links back to this list, and to its next call in it.
  function withList(link) {
    const query = list();
    if (query && !link.search) link.search = `?from=${encodeURIComponent(query)}`;
  }

  body.addEventListener("pointerdown", (event) => {
    const link = event.target.closest("td.col-time a");
    if (link) withList(link);
  });
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row && !event.target.closest("a") && !String(getSelection())) select(row);
  });

  for (const key of ["j", "ArrowDown"]) onKeys(key, "Next row", () => step(1));
  for (const key of ["k", "ArrowUp"]) onKeys(key, "Previous row", () => step(-1));
  onKeys("Enter", "Open the selected call", (event) => {
    const link = selected()?.querySelector("td.col-time a");
    if (event.target.closest("a, button, summary, input") && event.target !== link) return event.target.click();
    if (!link) return;
    withList(link);
    link.click();
  });
  if (peek) {
    onKeys("o", "Preview the selected call", () => {
      if (!peek.hidden) close();
      else if (selected()) open(selected());
    });
    onKeys("Escape", "Close the panel, then clear the selection", () => (peek.hidden ? select(null) : close()));
    peek.addEventListener("click", (event) => event.target.closest("[data-close]") && close());
  }

  const chosen = new URLSearchParams(location.search).get("sel");
  if (chosen) {
    const row = body.querySelector(`tr[data-call="${CSS.escape(chosen)}"]`);
    row?.setAttribute("aria-selected", "true");
    if (!row) onMissing(chosen);
  }
  return { select, selected };
}
