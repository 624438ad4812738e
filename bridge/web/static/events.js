// Follows the events of a session on the page of its job: asks for those behind the last one shown, and adds each as it
// is stored. Rests while the page cannot be seen.
"use strict";

const list = document.querySelector("[data-stream]");
const state = document.getElementById("stream-state");
const follow = document.getElementById("follow");
const SHOWN_MOST = 2000; // on the page: more make a phone slow
const REST_MS = 5000; // after an answer that is no stream
// Colours of a palette or by their parts, which are not shown: their numbers are no codes.
const PALETTE = /\b[34]8;(5;\d+|2;\d+;\d+;\d+)/g;
const NOTHING = "999"; // a code that means nothing
const COLOURS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

let last = Number(list.dataset.last);
let source, timer;

function open() {
  close();
  source = new EventSource(`${list.dataset.stream}?after=${last}`);
  source.onopen = () => { state.textContent = "Live"; };
  source.onmessage = (message) => {
    const event = JSON.parse(message.data);
    if (event.seq > last) {
      last = event.seq;
      add(event);
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

function add(event) {
  const item = document.createElement("li");
  const time = document.createElement("time");
  time.dateTime = time.title = event.created_at;
  time.textContent = new Date(event.created_at).toLocaleTimeString();
  const type = document.createElement("strong");
  type.textContent = event.event_type;
  const body = document.createElement("pre");
  body.append(...shown(event.data));
  item.append(time, " ", type, " ", body);
  list.append(item);
  while (list.children.length > SHOWN_MOST) list.firstElementChild.remove();
  showEnd();
}

// Scrolls the list only: the page stays where the reader is.
function showEnd() {
  if (follow.checked) list.scrollTop = list.scrollHeight;
}

// What a terminal printed, in its colours; anything else as JSON. Only ever as text, never as markup.
function shown(data) {
  const text = data !== null && typeof data === "object" ? data.output ?? data.text : undefined;
  return typeof text === "string" ? coloured(text) : [JSON.stringify(data, null, 2)];
}

function coloured(text) {
  const parts = [];
  let classes = new Set();
  for (const [index, part] of text.split(/\x1b\[([0-9;]*)m/).entries()) {
    if (index % 2) classes = styled(classes, part);
    else if (part) parts.push(span(plain(part), classes));
  }
  return parts;
}

function styled(classes, codes) {
  const next = new Set(classes);
  for (const code of codes.replace(PALETTE, NOTHING).split(";").map(Number)) {
    if (code === 0) next.clear();
    if (code === 1) next.add("bold");
    const colour = code >= 30 && code < 38 ? code - 30 : code >= 90 && code < 98 ? code - 90 : undefined;
    if (colour !== undefined || code === 39) for (const name of COLOURS) next.delete(`ansi-${name}`);
    if (colour !== undefined) next.add(`ansi-${COLOURS[colour]}`);
  }
  return next;
}

// Without other escape sequences, which move a cursor that is not here, and without control characters.
function plain(text) {
  return text.replace(/\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])/g, "").replace(/[\x00-\x08\x0b-\x1f\x7f]/g, "");
}

function span(text, classes) {
  const element = document.createElement("span");
  element.className = [...classes].join(" ");
  element.textContent = text;
  return element;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    close();
    state.textContent = "Paused";
  } else {
    open();
  }
});
showEnd();
open();
