// Short forms of what the browser's interfaces make long.

/** What stands before each path of this site; empty unless a reverse proxy serves it at a sub-path. */
export const root = document.documentElement.dataset.root ?? "";

/** Stores a preference where the server reads it, too. */
export function setCookie(name, value) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${name}=${encodeURIComponent(value)}; Path=${root}/; Max-Age=31536000; SameSite=Lax${secure}`;
}

export function getCookie(name) {
  const found = document.cookie.split("; ").find((pair) => pair.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : null;
}

/** Announces a text to screen readers; `#announcement` is a live region. */
export function announce(text) {
  const region = document.getElementById("announcement");
  region.textContent = "";
  requestAnimationFrame(() => (region.textContent = text));
}

/**
 * Changes the address without a new history entry; null or "" removes a parameter. Parameters that are
 * set come last, in the order of `changes`, so that one state has one address.
 */
export function setParameters(changes) {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(changes)) {
    url.searchParams.delete(name);
    if (value !== null && value !== "") url.searchParams.set(name, value);
  }
  history.replaceState(history.state, "", url);
}

/** Sends a change to the API. Returns `{ok, status, detail}`; `detail` is the error message. */
export async function change(method, url, body) {
  const response = await fetch(url, {
    method,
    headers: {
      "content-type": "application/json",
      accept: "application/json",
      "x-csrftoken": document.querySelector("meta[name=csrf-token]")?.content ?? "",
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  let detail = "";
  if (!response.ok) {
    const error = await response.json().catch(() => ({}));
    detail = error.detail ?? Object.entries(error).map(([name, why]) => `${name}: ${why}`).join("; ");
  }
  return { ok: response.ok, status: response.status, detail: String(detail) };
}
