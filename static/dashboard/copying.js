// Copying: an id, a link to what is seen, a text with the characters that chips stand for.

import { say } from "./browser.js";

export const COPIES = "[data-copy], [data-copy-from], [data-copy-message], [data-copy-link]";

function textOf(shown) {
  const copy = shown.cloneNode(true);
  for (const chip of copy.querySelectorAll(".hidden-character")) {
    chip.replaceWith(String.fromCodePoint(parseInt(chip.textContent.slice(2), 16)));
  }
  return copy.textContent;
}

/** What `element` copies, and whether that is only the part which the page shows. */
function copied(element) {
  const { copy, copyFrom, copyMessage } = element.dataset;
  if (copy !== undefined) return [copy, false];
  if (copyFrom !== undefined) {
    const from = document.querySelector(copyFrom);
    return [textOf(from), from.dataset.isCut !== undefined];
  }
  if (copyMessage !== undefined) {
    const texts = [...element.closest(".message").querySelectorAll(".block pre")];
    return [texts.map(textOf).join("\n\n"), texts.some((text) => text.dataset.isCut !== undefined)];
  }
  return [location.href, false];
}

export async function copy(element) {
  const [text, isPart] = copied(element);
  const isDone = await write(text).catch(() => false);
  if (!isDone) say("The browser blocked copying");
  else say(isPart ? "Copied the visible part only: the text is longer" : "Copied");
}

async function write(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return true;
  }
  // Over plain HTTP from another machine browsers have no clipboard but this one.
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "unseen";
  const focused = document.activeElement;
  document.body.append(field);
  field.select();
  const isDone = document.execCommand("copy");
  field.remove();
  focused?.focus();
  return isDone;
}
