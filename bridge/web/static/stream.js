// Follows the events of a session from the number that the page has come to, and gives each one once, in order. Rests
// while the page cannot be seen.
const REST_MS = 5000; // after an answer that is no stream

export function follow({ stream, last }, state, take) {
  let seen = Number(last);
  let source, timer;

  function open() {
    close();
    source = new EventSource(`${stream}?after=${seen}`);
    source.onopen = () => { state.textContent = "Live"; };
    source.onmessage = (message) => {
      const event = JSON.parse(message.data);
      if (event.seq > seen) {
        seen = event.seq;
        take(event);
      }
    };
    // After an answer that is no stream, the browser does not come back by itself: a store may be away for a while.
    source.onerror = () => {
      state.textContent = "Reconnecting";
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(open, REST_MS);
    };
  }

  function close() {
    clearTimeout(timer);
    source?.close();
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      close();
      state.textContent = "Paused";
    } else {
      open();
    }
  });
  open();
}
