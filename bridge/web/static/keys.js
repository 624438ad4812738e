// Keys for all pages, never while somebody types; and the choice of a theme. Both are kept in this browser.
"use strict";

const THEMES = ["system", "light", "dark"];
const NEXT_KEY_MS = 1500; // after g: a hesitation, and no key that is meant for something else
const help = document.getElementById("keys");
let afterG = 0;

const actions = {
  "/": search,
  j: () => move(1),
  k: () => move(-1),
  x: () => row()?.querySelector("input[form=selection]")?.click(),
  r: () => document.getElementById("pause")?.click(),
  R: () => document.querySelector("button[formaction$='/retry']")?.form.elements.reason.focus(),
  t: () => chooseTheme(THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]),
  "?": () => help.showModal(),
};

function visit(key) {
  document.querySelector(`nav a[data-key="${CSS.escape(key)}"]`)?.click();
}

function search() {
  const field = document.getElementById("q");
  if (field) field.focus();
  else visit("j");
}

function links() {
  return [...document.querySelectorAll("main tbody th a")];
}

function row() {
  return document.activeElement.closest("tr");
}

// The link of the next row, or of the one before; the first one if none has the focus.
function move(step) {
  const all = links();
  const at = all.findIndex((link) => link.closest("tr") === row());
  (at < 0 ? all[0] : all[at + step])?.focus();
}

function theme() {
  return stored.get("theme") ?? document.documentElement.dataset.theme ?? "system";
}

function chooseTheme(name) {
  stored.set("theme", name);
  showTheme(name);
  for (const choice of document.querySelectorAll("[name=theme]")) choice.checked = choice.value === name;
}

function isTyping(target) {
  return target.isContentEditable || (target.matches("input, textarea, select") && target.type !== "checkbox");
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || isTyping(event.target) || stored.get("keys") === "off") return;
  const goes = Date.now() - afterG < NEXT_KEY_MS;
  afterG = !goes && event.key === "g" ? Date.now() : 0;
  if (goes) visit(event.key);
  else if (Object.hasOwn(actions, event.key)) actions[event.key]();
  else return;
  event.preventDefault();
});

for (const choice of document.querySelectorAll("[name=theme]")) {
  choice.checked = choice.value === theme();
  choice.addEventListener("change", () => chooseTheme(choice.value));
}
const on = document.getElementById("keys-on");
if (on) {
  on.checked = stored.get("keys") !== "off";
  on.addEventListener("change", () => stored.set("keys", on.checked ? "on" : "off"));
}
