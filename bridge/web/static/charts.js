// Draws the history as charts. The tables beside them show the same, and without this script they are all there is.
const section = document.getElementById("history");
const REFRESH_MS = 30000; // a new minute is there within this
const HEIGHT = 220;
// Colours that can be told apart without seeing red and green, from the style sheet; and dashes, which need none.
const SERIES = {
  throughput: [["inserted", "inserted", 1, []], ["completed", "completed", 2, []], ["failed_attempts", "failed attempts", 3, [8, 4]], ["retried", "retried", 4, [2, 4]], ["failed", "failed for good", 5, [12, 4, 2, 4]]],
  wait: [["p50", "p50", 1, []], ["p95", "p95", 3, [8, 4]], ["p99", "p99", 5, [2, 4]]],
  run: [["p50", "p50", 1, []], ["p95", "p95", 3, [8, 4]], ["p99", "p99", 5, [2, 4]]],
};
const charts = new Map();
let etag, shown;

function colour(name) {
  const probe = document.createElement("span");
  probe.className = `chart-${name}`;
  section.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  if (value < 1) return `${+(value * 1000).toPrecision(2)} ms`;
  if (value < 120) return `${+value.toPrecision(2)} s`;
  return value < 7200 ? `${Math.round(value / 60)} min` : `${Math.round(value / 3600)} h`;
}

// In the reader's own time and form: hours, or days where a range has many.
function moment(time) {
  const date = new Date(time * 1000);
  const isLong = shown.step_seconds >= 3600;
  return isLong ? date.toLocaleDateString([], { month: "short", day: "numeric" }) : date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

function columns(name, history) {
  const values = name === "throughput" ? history.counts : history.latency_seconds[name];
  return [history.times, ...SERIES[name].map(([key]) => values[key])];
}

// Which values have none beside them: a line would not show them.
function alone(chart, series) {
  const values = chart.data[series];
  return values.flatMap((value, at) => (value !== null && (values[at - 1] ?? values[at + 1] ?? null) === null ? [at] : []));
}

function draw(name, element, history) {
  const isTime = name !== "throughput";
  const axis = { stroke: () => colour("ink"), grid: { stroke: () => colour("line"), width: 1 }, ticks: { stroke: () => colour("line"), width: 1 } };
  const format = isTime ? (_, value) => seconds(value) : (_, value) => (value === null ? "–" : value.toLocaleString());
  return new globalThis.uPlot({
    width: element.clientWidth,
    height: HEIGHT,
    cursor: { sync: { key: "overview" }, drag: { x: false, y: false } },
    scales: { y: { range: (_, __, most) => [0, most > 0 ? most * 1.1 : 1] } },
    series: [{ label: "From", value: (_, time) => (time === null ? "–" : moment(time)) }, ...SERIES[name].map(([, label, number, dash]) => ({ label, stroke: () => colour(number), width: 2, dash, value: format, points: { filter: alone, size: 6, fill: () => colour(number) } }))],
    axes: [{ ...axis, space: 90, values: (_, ticks) => ticks.map(moment) }, { ...axis, size: 70, values: (_, ticks) => ticks.map((value) => (isTime ? seconds(value) : value.toLocaleString())) }],
  }, columns(name, history), element);
}

function show(history) {
  shown = history;
  for (const element of section.querySelectorAll("[data-chart]")) {
    const name = element.dataset.chart;
    if (charts.has(name)) charts.get(name).setData(columns(name, history));
    else charts.set(name, draw(name, element, history));
  }
}

async function refresh() {
  setTimeout(refresh, REFRESH_MS);
  if (document.hidden || document.getElementById("pause").getAttribute("aria-pressed") === "true") return;
  const answer = await ask();
  if (answer?.status !== 200) return;
  etag = answer.headers.get("ETag");
  show(await answer.json());
}

// Undefined without an answer: the next try comes by itself, and the page says that it is not live.
async function ask() {
  try {
    return await fetch(section.dataset.history, { headers: etag ? { "If-None-Match": etag } : {}, cache: "no-store" });
  } catch {
    return undefined;
  }
}

function redraw() {
  for (const chart of charts.values()) chart.destroy();
  charts.clear();
  if (shown) show(shown);
}

new ResizeObserver(() => {
  for (const [name, chart] of charts) chart.setSize({ width: section.querySelector(`[data-chart="${name}"]`).clientWidth, height: HEIGHT });
}).observe(section);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
new MutationObserver(redraw).observe(document.documentElement, { attributes: true });
if (section.querySelector("[data-chart]")) refresh();
