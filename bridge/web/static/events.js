// Adds the events of a job's session to its page as they are stored.
import { coloured } from "./ansi.js";
import { follow } from "./stream.js";

const list = document.querySelector("[data-stream]");
const follows = document.getElementById("follow");
const SHOWN_MOST = 2000; // on the page: more make a phone slow

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
  if (follows.checked) list.scrollTop = list.scrollHeight;
}

// What a terminal printed, in its colours; anything else as JSON. Only ever as text, never as markup.
function shown(data) {
  const text = data !== null && typeof data === "object" ? data.output ?? data.text : undefined;
  return typeof text === "string" ? coloured(text) : [JSON.stringify(data, null, 2)];
}

showEnd();
follow(list.dataset, document.getElementById("stream-state"), add);
