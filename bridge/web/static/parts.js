// Keeps parts of a page new: asks for the page again while somebody looks at it, and takes over what has changed, until
// the page says nothing of a reload any more: its job has ended.
"use strict";

const SLOWER = 1.1; // each time: who waits for an hour need not know to the second, and many may leave the page open
const REST_MS = 10000; // after no answer, or none that is the page: the server is away, or the login is over
const { reload, every } = document.querySelector("[data-reload]").dataset;
let timer;
const first = Number(every); // a person waits
let wait = first;

export async function update() {
  clearTimeout(timer);
  if (document.hidden) return;
  const page = isPaused() ? document : await ask();
  if (page) for (const part of document.querySelectorAll("[data-part]")) renew(part, page);
  clearTimeout(timer); // of another call that began meanwhile
  if (!page || page.querySelector("[data-reload]")) timer = setTimeout(update, page ? longer() : REST_MS);
}

function longer() {
  wait = Math.min(wait * SLOWER, Math.max(REST_MS, first));
  return wait;
}

function isPaused() {
  return document.getElementById("pause")?.getAttribute("aria-pressed") === "true";
}

// Undefined without an answer: what is shown stays.
async function ask() {
  try {
    const answer = await fetch(reload, { cache: "no-store" });
    return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : undefined;
  } catch {
    return undefined;
  }
}

function renew(part, page) {
  const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
  if (fresh && fresh.innerHTML !== part.innerHTML && !isInUse(part)) part.replaceChildren(...fresh.childNodes);
}

// Whether somebody has the focus in it, has typed or opened something, or has selected some of its text.
function isInUse(part) {
  const selection = getSelection();
  const isSelected = !selection.isCollapsed && part.contains(selection.anchorNode);
  const isTyped = [...part.querySelectorAll("input:not([type=hidden]), textarea")].some((field) => field.value);
  const isOpen = part.querySelector("details[open]") !== null;
  return part.contains(document.activeElement) || isTyped || isOpen || isSelected;
}

document.addEventListener("visibilitychange", () => {
  wait = first;
  update();
});
timer = setTimeout(update, first);
