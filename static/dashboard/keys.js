// Keyboard shortcuts: an element with `data-keys="g c"` is clicked (a field is focused) when these keys
// are pressed in turn. Modules add their own with `onKeys`. None works while the reader is typing.

const SEQUENCE_MS = 1200;
const handlers = new Map(); // keys → {title, run}
let pressed = [];
let at = 0;

/** Calls `run(event)` when `keys` ("j", "g c", "ArrowDown") are pressed; `title` is for the list. */
export function onKeys(keys, title, run) {
  handlers.set(keys, { title, run });
}

export function listOfKeys() {
  const listed = new Map([...handlers].filter(([, { title }]) => title).map(([keys, { title }]) => [keys, title]));
  for (const element of document.querySelectorAll("[data-keys]:not(html)")) {
    listed.set(element.dataset.keys, nameOf(element));
  }
  return [...listed];
}

function nameOf(element) {
  const name = element.title || element.getAttribute("aria-label") || element.textContent.trim();
  return name.replace(/\s*\([^()]*\)$/, "");
}

export function listenForKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (event.key.length === 1 && document.documentElement.dataset.keys === "off") return;
    const found = match(event);
    if (!found) return;
    event.preventDefault();
    pressed = [];
    found(event);
  });
}

function match(event) {
  const now = performance.now();
  pressed = now - at < SEQUENCE_MS ? [...pressed, event.key].slice(-2) : [event.key];
  at = now;
  for (const keys of [pressed.join(" "), event.key]) {
    const handler = handlers.get(keys);
    if (handler) return handler.run;
    const element = [...document.querySelectorAll("[data-keys]:not(html)")].find(
      (one) => one.dataset.keys === keys && one.checkVisibility(),
    );
    if (element) return () => use(element);
  }
  return null;
}

function use(element) {
  if (!element.matches("input, select, textarea")) return element.click();
  element.focus();
  element.select?.();
}

function isTyping(target) {
  return target.closest?.("input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable], dialog[open]");
}
