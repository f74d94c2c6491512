// What operators change where they look: stops and deletions, each after a question.

import { change, say } from "./browser.js";

const WHAT = {
  everything: () => "All calls will be refused until you resume.",
  session: (value) => `All calls of the session “${value}” will be refused until you resume.`,
  agent: (value) => `All calls of the agent “${value}” will be refused until you resume.`,
  user: (value) => `All calls for the user “${value}” will be refused until you resume.`,
};

/** Asks in `dialog`; `send()` carries out the answer and tells what went wrong, or nothing. */
function ask(dialog, agreed, send) {
  const wrong = dialog.querySelector(".wrong");
  wrong.textContent = "";
  const form = dialog.querySelector("form");
  form.onsubmit = async (event) => {
    if (event.submitter?.value !== agreed) return;
    event.preventDefault();
    const detail = await send(form);
    if (detail) wrong.textContent = detail;
    else dialog.close();
  };
  dialog.showModal();
}

function stop(element) {
  const dialog = document.getElementById("stop");
  const { stop: scope, value } = element.dataset;
  document.getElementById("stop-what").textContent = WHAT[scope](value);
  ask(dialog, "stop", async (form) => {
    const body = { scope, reason: form.elements.reason.value };
    const answer = await change("POST", "/api/stops", value ? { ...body, value } : body);
    if (!answer.ok) return answer.detail;
    say("Stopped");
    if (!document.getElementById("scroller")) location.reload();
  });
}

async function resume(element) {
  element.disabled = true;
  const answer = await change("DELETE", `/api/stops/${element.dataset.resume}`);
  element.disabled = false;
  if (!answer.ok) return say(answer.detail);
  element.closest("[data-stop-id]")?.remove();
  say("Resumed");
}

function remove(element) {
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-title").textContent = element.dataset.title;
  document.getElementById("confirm-what").textContent = element.dataset.what;
  ask(dialog, "yes", async () => {
    const answer = await change("DELETE", element.dataset.delete);
    if (!answer.ok) return answer.detail;
    location.assign(element.dataset.next ?? "/");
  });
}

document.addEventListener("click", (event) => {
  const element = event.target.closest?.("[data-stop], [data-resume], [data-delete]");
  if (!element || element.matches("div")) return;
  if (element.dataset.stop) stop(element);
  else if (element.dataset.resume) resume(element);
  else if (element.dataset.delete) remove(element);
});

/** Shows the stops that are in force now. */
export function showStops(stops) {
  const box = document.getElementById("stops");
  if (!box) return;
  const mayEdit = document.getElementById("stop") !== null;
  box.replaceChildren(
    ...stops.map((one) => {
      const banner = document.createElement("div");
      banner.className = "banner bad";
      banner.setAttribute("role", "status");
      banner.dataset.stopId = one.id;
      const text = document.createElement("span");
      const what = one.value ? `The ${one.scope} ${one.value} is stopped` : "All calls are stopped";
      text.textContent = `⛔ ${what}: ${one.reason}`;
      banner.append(text);
      if (mayEdit) {
        const button = document.createElement("button");
        button.type = "button";
        button.dataset.resume = one.id;
        button.textContent = "Resume";
        banner.append(button);
      }
      return banner;
    }),
  );
}
