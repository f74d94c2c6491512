// Copying of ids, links and texts; a chip is copied as the character that it stands for.

import { announce } from "./browser.js";

export const COPIES = "[data-copy], [data-copy-from], [data-copy-message], [data-copy-link]";

function textOf(element) {
  const copy = element.cloneNode(true);
  for (const chip of copy.querySelectorAll(".hidden-character")) {
    chip.replaceWith(String.fromCodePoint(parseInt(chip.textContent.slice(2), 16)));
  }
  return copy.textContent;
}

/** Returns the text that `element` copies, and whether the page shows only a part of it. */
function textToCopy(element) {
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
  const [text, isPart] = textToCopy(element);
  const isDone = await write(text).catch(() => false);
  if (!isDone) announce("The browser blocked copying");
  else announce(isPart ? "Copied the visible part only: the text is longer" : "Copied");
}

async function write(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return true;
  }
  // Over plain HTTP from another machine, browsers offer only this way.
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
