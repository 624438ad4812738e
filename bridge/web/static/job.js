// Shows how a job goes on: until it has ended, asks for its page again and takes over the parts that have changed.
"use strict";

const POLL_MS = 1000; // at first: a person waits for the end
const SLOWER = 1.1; // each time: who waits for an hour need not know to the second, and many may leave the page open
const REST_MS = 10000; // after no answer, or none that is the page: the server is away, or the login is over
const job = document.querySelector("[data-unended]");
let timer;
let wait = POLL_MS;

async function update() {
  clearTimeout(timer);
  if (document.hidden) return;
  const page = await ask();
  if (page) for (const part of document.querySelectorAll("[data-part]")) renew(part, page);
  if (!page || page.querySelector("[data-unended]")) timer = setTimeout(update, page ? longer() : REST_MS);
}

function longer() {
  wait = Math.min(wait * SLOWER, REST_MS);
  return wait;
}

// Undefined without an answer: what is shown stays.
async function ask() {
  try {
    const answer = await fetch(job.dataset.unended, { cache: "no-store" });
    return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : undefined;
  } catch {
    return undefined;
  }
}

function renew(part, page) {
  const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
  if (fresh && fresh.innerHTML !== part.innerHTML && !isInUse(part)) part.replaceChildren(...fresh.childNodes);
}

// Whether somebody has the focus in it, has typed something, or has selected some of its text.
function isInUse(part) {
  const selection = getSelection();
  const isSelected = !selection.isCollapsed && part.contains(selection.anchorNode);
  const isTyped = [...part.querySelectorAll("input:not([type=hidden])")].some((field) => field.value);
  return part.contains(document.activeElement) || isTyped || isSelected;
}

document.addEventListener("visibilitychange", () => {
  wait = POLL_MS;
  update();
});
timer = setTimeout(update, POLL_MS);
