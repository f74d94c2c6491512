// Listens to the live feed (docs/live.md), and reconnects by itself.

import { root } from "./browser.js";

const FIRST_PAUSE_S = 1;
const LONGEST_PAUSE_S = 15;

/**
 * Calls `onMessage(message)` with each message and `onState(state, secondsToRetry)` with "live" or
 * "lost". `place` is the position in the ledger that the page shows. Returns `{stop, resume}`.
 */
export function listen(query, place, { onMessage, onState }) {
  let socket = null;
  let pause = FIRST_PAUSE_S;
  let timer = null;
  let stopped = false;

  function connect() {
    clearTimeout(timer);
    const parameters = new URLSearchParams(query);
    parameters.set("since", place);
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    socket = new WebSocket(`${scheme}//${location.host}${root}/ws?${parameters}`);
    socket.onopen = () => {
      pause = FIRST_PAUSE_S;
      onState("live");
    };
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      if (message.type === "news" && message.place) place = message.place;
      onMessage(message);
    };
    socket.onclose = () => {
      if (!stopped) wait(pause);
    };
  }

  function wait(left) {
    onState("lost", Math.ceil(left));
    if (left <= 0) {
      pause = Math.min(pause * 2, LONGEST_PAUSE_S);
      connect();
    } else {
      timer = setTimeout(wait, 1000, left - 1);
    }
  }

  function stop() {
    stopped = true;
    clearTimeout(timer);
    // A socket that is not open yet is closed with the page.
    if (socket?.readyState === WebSocket.OPEN) socket.close();
  }

  function resume() {
    if (!stopped) return;
    stopped = false;
    connect();
  }

  connect();
  // With an open socket, browsers do not keep the page for their back button.
  addEventListener("pagehide", stop);
  addEventListener("pageshow", (event) => event.persisted && resume());
  return { stop, resume };
}
