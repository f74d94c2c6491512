// The behaviour of every page: keyboard shortcuts, copying, theme and time zone.

import { listenForKeys, listOfKeys } from "./keys.js";
import { announce, setCookie } from "./browser.js";
import { COPIES, copy } from "./copy.js";

const root = document.documentElement;

const actions = {
  theme() {
    const isDark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
    setCookie("theme", root.dataset.theme);
    announce(isDark ? "Light theme" : "Dark theme");
  },
  zone() {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
    setCookie("tz", root.dataset.zone === "UTC" ? zone : "UTC");
    location.reload();
  },
  help() {
    const dialog = document.getElementById("keys");
    const list = dialog.querySelector("dl");
    list.replaceChildren(
      ...listOfKeys().flatMap(([keys, what]) => {
        const dt = document.createElement("dt");
        const dd = document.createElement("dd");
        dt.textContent = keys;
        dd.textContent = what;
        return [dt, dd];
      }),
    );
    dialog.showModal();
    dialog.querySelector("form button").focus(); // browsers warn about autofocus when the address has a fragment
  },
  "single-keys"(element) {
    root.dataset.keys = element.checked ? "on" : "off";
    setCookie("keys", root.dataset.keys);
  },
};

document.addEventListener("click", (event) => {
  const element = event.target.closest?.(`[data-action], ${COPIES}`);
  if (!element) return;
  if (element.dataset.action) actions[element.dataset.action]?.(element);
  else copy(element);
});

// Empty fields are left out of the address.
document.addEventListener("submit", (event) => {
  if (!("dropEmpty" in event.target.dataset)) return;
  for (const field of event.target.elements) field.disabled ||= field.value === "" && field.name !== "";
});

listenForKeys();
