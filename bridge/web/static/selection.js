// The jobs that are ticked: how many they are, all of the page, and a range with shift. The form works without this.
"use strict";

const form = document.getElementById("selection");
const boxes = [...document.querySelectorAll("input[form=selection]")];
let last; // the box that was clicked last: where a range begins

function show() {
  const selected = boxes.filter((box) => box.checked).length;
  form.querySelector("[data-selected]").textContent = selected ? `${selected} selected` : "None selected";
  for (const button of form.querySelectorAll("[type=submit]")) button.disabled = !selected;
  form.querySelector("[data-select=all]").hidden = selected === boxes.length;
  form.querySelector("[data-select=none]").hidden = !selected;
  form.classList.toggle("at-hand", selected > 0);
}

function selectAll(isSelected) {
  for (const box of boxes) box.checked = isSelected;
  show();
}

function click(event) {
  if (event.shiftKey && last) {
    const [from, to] = [boxes.indexOf(last), boxes.indexOf(event.target)].sort((a, b) => a - b);
    for (const box of boxes.slice(from, to + 1)) box.checked = event.target.checked;
  }
  last = event.target;
  show();
}

if (form) {
  for (const box of boxes) box.addEventListener("click", click);
  form.querySelector("[data-select=all]").addEventListener("click", () => selectAll(true));
  form.querySelector("[data-select=none]").addEventListener("click", () => selectAll(false));
  addEventListener("pageshow", show); // a browser ticks the boxes again that were ticked before
  show();
}
