// Stops and deletions, which operators confirm in a dialog.

import { announce, change, root } from "./browser.js";

const STOP_TEXTS = {
  everything: () => "All calls will be refused until you resume.",
  session: (value) => `All calls of the session “${value}” will be refused until you resume.`,
  agent: (value) => `All calls of the agent “${value}” will be refused until you resume.`,
  user: (value) => `All calls for the user “${value}” will be refused until you resume.`,
};

/**
 * Opens `dialog` and runs `send(form)` when it is submitted by the button with the value `agreed`.
 * `send` returns an error message, or nothing.
 */
function confirmIn(dialog, agreed, send) {
  const error = dialog.querySelector(".wrong");
  error.textContent = "";
  const form = dialog.querySelector("form");
  form.onsubmit = async (event) => {
    if (event.submitter?.value !== agreed) return;
    event.preventDefault();
    const detail = await send(form);
    if (detail) error.textContent = detail;
    else dialog.close();
  };
  dialog.showModal();
}

function stop(element) {
  const dialog = document.getElementById("stop");
  const { stop: scope, value } = element.dataset;
  document.getElementById("stop-what").textContent = STOP_TEXTS[scope](value);
  confirmIn(dialog, "stop", async (form) => {
    const body = { scope, reason: form.elements.reason.value };
    const response = await change("POST", `${root}/api/stops`, value ? { ...body, value } : body);
    if (!response.ok) return response.detail;
    announce("Stopped");
    if (!document.getElementById("scroller")) location.reload();
  });
}

async function resume(element) {
  element.disabled = true;
  const response = await change("DELETE", `${root}/api/stops/${element.dataset.resume}`);
  element.disabled = false;
  if (!response.ok) return announce(response.detail);
  element.closest("[data-stop-id]")?.remove();
  announce("Resumed");
}

function remove(element) {
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-title").textContent = element.dataset.title;
  document.getElementById("confirm-what").textContent = element.dataset.what;
  confirmIn(dialog, "yes", async () => {
    document.body.dataset.leaving = ""; // the live feed may tell of the deletion before we are told
    const response = await change("DELETE", element.dataset.delete);
    if (!response.ok) {
      delete document.body.dataset.leaving;
      return response.detail;
    }
    location.assign(element.dataset.next ?? `${root}/`);
  });
}

document.addEventListener("click", (event) => {
  const element = event.target.closest?.("[data-stop], [data-resume], [data-delete]");
  if (!element || element.matches("div")) return;
  if (element.dataset.stop) stop(element);
  else if (element.dataset.resume) resume(element);
  else if (element.dataset.delete) remove(element);
});

/** Shows the stops that are in force. */
export function showStops(stops) {
  const box = document.getElementById("stops");
  if (!box) return;
  const mayEdit = document.getElementById("stop") !== null;
  box.replaceChildren(
    ...stops.map((stop) => {
      const banner = document.createElement("div");
      banner.className = "banner bad";
      banner.setAttribute("role", "status");
      banner.dataset.stopId = stop.id;
      const text = document.createElement("span");
      const what = stop.value ? `The ${stop.scope} ${stop.value} is stopped` : "All calls are stopped";
      text.textContent = `⛔ ${what}: ${stop.reason}`;
      banner.append(text);
      if (mayEdit) {
        const button = document.createElement("button");
        button.type = "button";
        button.dataset.resume = stop.id;
        button.textContent = "Resume";
        banner.append(button);
      }
      return banner;
    }),
  );
}
