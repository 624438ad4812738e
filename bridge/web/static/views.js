// Saved views: searches with a name, kept in this browser. Each is a link, which can be sent to others.
"use strict";

const bar = document.querySelector("[data-views]");
const list = bar.querySelector("ul");
const form = bar.querySelector("form");
const field = form.querySelector("input");

// Pairs of a name and a search. Somebody may have put other things there: they count as nothing.
function views() {
  try {
    return JSON.parse(stored.get("views")).filter(([name, q]) => typeof name === "string" && typeof q === "string");
  } catch {
    return [];
  }
}

function keep(all) {
  stored.set("views", JSON.stringify(all));
  show();
}

function show() {
  list.replaceChildren(...views().map(item));
}

function item([name, q]) {
  const link = document.createElement("a");
  link.href = q ? `${bar.dataset.views}?${new URLSearchParams({ q })}` : bar.dataset.views;
  link.textContent = name;
  if (q === bar.dataset.q) link.setAttribute("aria-current", "true");
  const remove = document.createElement("button");
  remove.type = "button";
  remove.textContent = "×";
  remove.setAttribute("aria-label", `Remove the view ${name}`);
  remove.addEventListener("click", () => {
    keep(views().filter((one) => one[0] !== name));
    field.focus(); // the button is gone
  });
  const entry = document.createElement("li");
  entry.append(link, remove);
  return entry;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const name = field.value.trim();
  if (!name) return;
  keep([...views().filter((one) => one[0] !== name), [name, bar.dataset.q]]);
  field.value = "";
});
addEventListener("storage", show); // another tab has saved or removed one
show();
