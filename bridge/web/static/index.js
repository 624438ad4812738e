// Keeps the counts on the start page live: asks /stats every two seconds while the page can be seen.
"use strict";

const every = 2000;
let timer;

function show(stats) {
  for (const field of document.querySelectorAll("[data-count]")) {
    field.textContent = stats[field.dataset.count] ?? "–";
  }
  const { workers, slots, busy } = stats.workers;
  document.getElementById("verdict").textContent =
    `${workers} worker${workers === 1 ? "" : "s"}, ${busy} of ${slots} slots busy`;
  const rows = stats.queues.map((queue) => {
    const row = document.createElement("tr");
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = queue.queue;
    row.append(name, cell(queue.pending), cell(queue.processing));
    return row;
  });
  if (rows.length === 0) {
    const row = document.createElement("tr");
    const none = cell("No open jobs.");
    none.colSpan = 3;
    row.append(none);
    rows.push(row);
  }
  document.getElementById("queue-rows").replaceChildren(...rows);
}

function cell(text) {
  const td = document.createElement("td");
  td.textContent = text;
  return td;
}

async function refresh() {
  try {
    const answer = await fetch("stats", { cache: "no-store" });
    const stats = await answer.json();
    if (answer.ok) {
      show(stats);
    } else {
      document.getElementById("verdict").textContent = stats.error;
    }
  } catch {
    document.getElementById("verdict").textContent = "The bridge's web process does not answer.";
  }
  timer = document.hidden ? undefined : setTimeout(refresh, every);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && timer === undefined) refresh();
});
timer = setTimeout(refresh, every);
