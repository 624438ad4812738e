// The page of a session: its conversation grows as it is stored, and what can be done changes with it.
import { Conversation } from "./conversation.js";
import { update } from "./parts.js";
import { follow } from "./stream.js";

// After these, something else can be done, or there is another figure.
const CHANGES = ["turn_started", "usage", "progress", "question", "answer", "error", "completion"];
const NEAR_END = 150; // pixels: who is there reads what comes
const SOON_MS = 200; // several come together

const list = document.querySelector("[data-stream]");
const conversation = new Conversation(list);
let timer;

function take(event) {
  const page = document.scrollingElement;
  const isAtEnd = innerHeight + page.scrollTop >= page.scrollHeight - NEAR_END;
  conversation.add(event);
  if (isAtEnd) page.scrollTop = page.scrollHeight;
  if (CHANGES.includes(event.event_type)) {
    clearTimeout(timer);
    timer = setTimeout(update, SOON_MS);
  }
}

follow(list.dataset, document.getElementById("stream-state"), take);
