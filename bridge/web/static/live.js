// Keeps the figures of a page live: one stream of server-sent events, or a request every two seconds where a stream
// cannot be had. Rests while the page cannot be seen, or while a person has paused it.
const controls = document.querySelector(".live");
const pill = document.getElementById("live-state");
const pause = document.getElementById("pause");
const news = document.getElementById("live-news");
const POLL_MS = 2000;
const FIRST_REST_MS = 1000; // doubled after each failure, and spread so that tabs do not come back all at once
const REST_MOST_MS = 30000;
const SILENT_MS = 40000; // heartbeats come every 15 seconds: without two of them the connection is dead
const NEWS_MS = 10000;

let source, timer, silence, etag, newest;
let failures = 0;
let isPaused = false;
let saidAt = 0;
let said = "";

function open() {
  stop();
  if (isPaused || document.hidden) return show("Paused");
  show(failures ? "Reconnecting" : "Connecting");
  source = new EventSource(controls.dataset.stream);
  source.onopen = listen;
  source.addEventListener("alive", listen);
  source.onmessage = (message) => {
    listen();
    apply(JSON.parse(message.data));
  };
  source.onerror = () => {
    failures += 1;
    if (failures > 2) poll();
    else again(open);
  };
}

function listen() {
  failures = 0;
  show("Live");
  clearTimeout(silence);
  silence = setTimeout(open, SILENT_MS);
}

function stop() {
  source?.close();
  source = undefined;
  clearTimeout(timer);
  clearTimeout(silence);
}

function again(what) {
  stop();
  const rest = Math.min(REST_MOST_MS, FIRST_REST_MS * 2 ** (failures - 1)) * (0.5 + Math.random());
  countDown(Math.ceil(rest / 1000), what);
}

function countDown(seconds, what) {
  if (seconds <= 0) return what();
  show(`Reconnecting ${seconds} s`);
  timer = setTimeout(countDown, 1000, seconds - 1, what);
}

// Asks for the figures instead; after some answers it tries a stream again.
async function poll(left = 15) {
  stop();
  try {
    const answer = await fetch(controls.dataset.poll, { headers: etag ? { "If-None-Match": etag } : {}, cache: "no-store" });
    if (answer.status === 401) return location.reload(); // the login is over: the page leads to it
    if (answer.status === 200) apply(await answer.json());
    else if (answer.status !== 304) throw new Error(answer.status);
    etag = answer.headers.get("ETag") ?? etag;
    show("Live");
    timer = left > 0 ? setTimeout(poll, POLL_MS, left - 1) : setTimeout(open, POLL_MS);
  } catch {
    failures += 1;
    again(poll);
  }
}

function show(state) {
  pill.textContent = state;
  pill.dataset.state = state.split(" ")[0].toLowerCase();
}

function apply(state) {
  newest = state;
  if (isPaused || document.hidden) return;
  write("#verdict", state.verdict.text);
  const verdict = document.getElementById("verdict");
  if (verdict) verdict.className = `verdict ${state.verdict.healthy ? "healthy" : "unwell"}`;
  say(state.verdict.text);
  for (const field of document.querySelectorAll("[data-count]")) set(field, state.counts?.[field.dataset.count] ?? "–");
  for (const field of document.querySelectorAll("[data-workers]")) set(field, state.workers?.[field.dataset.workers] ?? "–");
  applyQueues(state.queues);
  applyAttention(state.attention);
  applyNewJobs(state);
}

function set(element, value) {
  const text = String(value);
  if (element.textContent !== text) element.textContent = text;
}

function write(selector, text) {
  const element = document.querySelector(selector);
  if (element) set(element, text);
}

// At most every ten seconds, and only what has changed in words: numbers alone would never stop.
function say(text) {
  const words = text.replace(/[\d.,]+/g, "");
  if (!news || words === said || Date.now() - saidAt < NEWS_MS) return;
  if (said) news.textContent = text;
  said = words;
  saidAt = Date.now();
}

function applyQueues(queues) {
  const rows = document.getElementById("queue-rows");
  if (!rows) return;
  for (const queue of queues) {
    const row = rows.querySelector(`[data-queue="${CSS.escape(queue.queue)}"]`);
    if (!row) document.querySelector("#queues-changed a").hidden = false;
    else for (const field of row.querySelectorAll("[data-queue-count]")) set(field, queue[field.dataset.queueCount] ?? "–");
  }
}

function applyAttention(found) {
  const list = document.getElementById("attention-list");
  const text = JSON.stringify(found);
  if (!list || list.dataset.shown === text) return;
  list.dataset.shown = text;
  document.getElementById("no-attention").hidden = found.length > 0;
  list.replaceChildren(...found.map((one) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = one.href;
    link.textContent = one.text;
    item.append(link);
    return item;
  }));
}

// New jobs wait behind a link: rows never move under a pointer.
function applyNewJobs(state) {
  const hint = document.getElementById("new-jobs");
  if (!hint || !state.counts) return;
  const { status, queue } = hint.dataset;
  const counts = queue ? state.queues.filter((one) => one.queue === queue) : [state.counts];
  const names = status ? [status] : Object.keys(state.counts);
  const now = counts.reduce((sum, one) => sum + names.reduce((part, name) => part + one[name], 0), 0);
  const first = (hint.dataset.first ??= now);
  const link = hint.querySelector("a");
  link.hidden = now <= first;
  set(link, `${now - first} new`);
}

pause.addEventListener("click", () => {
  isPaused = !isPaused;
  pause.setAttribute("aria-pressed", String(isPaused));
  failures = 0;
  open();
});
document.addEventListener("visibilitychange", open);
addEventListener("pagehide", stop);
addEventListener("pageshow", (event) => { if (event.persisted) open(); });
controls.hidden = false;
open();
