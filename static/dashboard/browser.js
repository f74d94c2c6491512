// Small things that browsers make long.

/** Keeps a preference where the server reads it. */
export function keep(name, value) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${name}=${encodeURIComponent(value)}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
}

export function kept(name) {
  const found = document.cookie.split("; ").find((pair) => pair.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : null;
}

/** Tells those who listen to the page; `#announcement` is a live region. */
export function say(text) {
  const region = document.getElementById("announcement");
  region.textContent = "";
  requestAnimationFrame(() => (region.textContent = text));
}

/** Changes the address without a step in the history; null takes a parameter away. */
export function setParameters(changes) {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  history.replaceState(history.state, "", url);
}

/** Asks our API to change something: `{ok, status, detail}`. */
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
    const answer = await response.json().catch(() => ({}));
    detail = answer.detail ?? Object.entries(answer).map(([name, why]) => `${name}: ${why}`).join("; ");
  }
  return { ok: response.ok, status: response.status, detail: String(detail) };
}
