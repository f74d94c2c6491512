// Listens to the live feed (docs/live.md), and comes back to it by itself.

const FIRST_PAUSE_S = 1;
const LONGEST_PAUSE_S = 15;

/**
 * Calls `onMessage(told)` with each message and `onState(state, secondsToRetry)` with "live" or "lost".
 * `place` is what the page knows already. Returns `{stop, resume}`.
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
    socket = new WebSocket(`${scheme}//${location.host}/ws?${parameters}`);
    socket.onopen = () => {
      pause = FIRST_PAUSE_S;
      onState("live");
    };
    socket.onmessage = (event) => {
      const told = JSON.parse(event.data);
      if (told.type === "news" && told.place) place = told.place;
      onMessage(told);
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
    // One that is not open yet ends with the page.
    if (socket?.readyState === WebSocket.OPEN) socket.close();
  }

  function resume() {
    if (!stopped) return;
    stopped = false;
    connect();
  }

  connect();
  // A page that is put aside with an open socket cannot be come back to as it was.
  addEventListener("pagehide", stop);
  addEventListener("pageshow", (event) => event.persisted && resume());
  return { stop, resume };
}
