// Adds events to the conversation of a session, as conversation.py puts together those that were stored before. Only ever
// as text, never as markup.
import { Terminal, span } from "./ansi.js";

const SHOWN_MOST = 2000; // entries on the page, and pieces of one output: more make a phone slow
const ENDS_MESSAGES = ["turn_started", "prompt", "tool_started", "usage", "compacted", "question", "answer", "completion"];
const ENDS_CALLS = ["turn_started", "error", "completion"];
const INPUTS = ["command", "path", "question", "port"];
const SPEAK_LATER = ["ask", "todo"]; // tools whose question or steps follow as an event of their own
const MARKS = { done: "✓", doing: "…", open: "○" };
const LINES = { "+": "added", "-": "removed", "@": "hunk" };

export class Conversation {
  constructor(list) {
    this.list = list;
    this.terminals = new WeakMap();
  }

  add({ event_type, data, created_at }) {
    if (ENDS_MESSAGES.includes(event_type)) this.endMessages();
    if (ENDS_CALLS.includes(event_type)) this.endCalls();
    const given = data !== null && typeof data === "object" && !Array.isArray(data) ? data : { value: data };
    const adder = ADDERS[event_type];
    if (adder) adder(this, given, created_at, event_type);
    else this.append({ ...(ENTRIES[event_type] ?? other)(given, event_type), at: created_at });
    while (this.list.children.length > SHOWN_MOST) this.list.firstElementChild.remove();
  }

  keyed(key) {
    return key && this.list.querySelector(`[data-key="${CSS.escape(key)}"]`);
  }

  append({ kind, title, at, text = "", body = "prose", key = "" }) {
    const item = document.createElement("li");
    item.className = `entry ${kind}`;
    if (key) item.dataset.key = key;
    item.append(heading(title, at), element("pre", "intro"), element("pre", `body ${body}`));
    this.list.append(item);
    this.write(item, text);
    return item;
  }

  write(item, text) {
    const body = item.querySelector(".body");
    if (body.matches(".diff")) body.append(...text.split(/(?<=\n)/).map(line));
    else if (body.matches(".terminal")) body.append(...this.terminal(body).elements(text));
    else body.append(text);
    while (body.childNodes.length > SHOWN_MOST) body.firstChild.remove();
  }

  terminal(body) {
    if (!this.terminals.has(body)) this.terminals.set(body, new Terminal(body.dataset.style));
    return this.terminals.get(body);
  }

  // What has offset 0 begins its text anew.
  extend(entry, data, text) {
    let item = this.keyed(entry.key);
    if (item && data.offset === 0) clear(item, this.terminals);
    item ||= this.append(entry);
    this.write(item, text);
    return item;
  }

  endCalls() {
    for (const item of this.list.querySelectorAll("[data-state=running]")) setState(item, "interrupted");
  }

  endMessages() {
    for (const item of this.list.querySelectorAll("[data-key]:not(.call)")) delete item.dataset.key;
  }
}

const ADDERS = {
  text: say,
  thinking: say,
  terminal(talk, data, at) {
    const text = data.output ?? data.text ?? "";
    const item = talk.extend({ kind: "call", title: "Terminal", at, body: "terminal", key: keyOf("call", data.callId) }, data, String(text));
    if (data.command !== undefined) item.querySelector(".intro").textContent = data.command;
  },
  tool_started(talk, data, at) {
    if (SPEAK_LATER.includes(data.tool)) return;
    const item = call(talk, data, at);
    item.querySelector(".title").textContent = data.tool ?? "";
    item.querySelector(".intro").textContent = input(data.input);
    setState(item, "running");
  },
  tool_finished(talk, data, at) {
    if (SPEAK_LATER.includes(data.tool) && !data.isError) return;
    const item = call(talk, data, at);
    setState(item, data.isError ? "failed" : "done");
    if (!item.querySelector(".body").textContent) talk.write(item, String(data.content ?? ""));
  },
  retracted(talk, data) {
    for (const kind of ["text", "thinking"]) talk.keyed(keyOf(kind, data.message))?.remove?.();
  },
};

const ENTRIES = {
  turn_started: prompt,
  prompt,
  file_change(data) {
    if ("files" in data) return { kind: "note", title: "Saved", text: `Files: ${data.files}, lines added: ${data.added ?? 0}, removed: ${data.removed ?? 0}` };
    const counts = "added" in data && "removed" in data ? ` +${data.added} −${data.removed}` : "";
    const cut = data.diffCut ? " · cut" : data.binary ? " · binary" : "";
    return { kind: "change", title: `${data.path ?? ""}${counts}${cut}`, text: data.diff ?? "", body: "diff" };
  },
  question: (data) => ({ kind: "question", title: "Question", text: [data.text ?? "", ...(data.choices ?? []).map((choice) => `• ${choice}`)].join("\n") }),
  progress(data) {
    const counts = "done" in data && "total" in data ? `: ${data.done} of ${data.total} done` : "";
    const steps = (data.items ?? []).map((step) => `${MARKS[step?.status] ?? "○"} ${step?.text ?? ""}`);
    return { kind: "progress", title: `Steps${counts}`, text: steps.join("\n") };
  },
  usage(data) {
    const read = (data.inputTokens ?? 0) + (data.cacheReadTokens ?? 0) + (data.cacheWriteTokens ?? 0);
    const price = typeof data.costUsd === "number" ? `, $${data.costUsd.toFixed(4)}` : "";
    return { kind: "note", title: "Usage", text: `${read} tokens in, ${data.outputTokens ?? 0} out${price}` };
  },
  answer: (data) => ({ kind: "prompt", title: "Answer", text: data.text ?? "" }),
  notice: (data) => ({ kind: "note", title: "Notice", text: data.text ?? "" }),
  error: (data) => ({ kind: "error", title: "Error", text: data.message ?? data.text ?? "" }),
  compacted: () => ({ kind: "note", title: "Notice", text: "What was said so far goes on as a summary." }),
  completion(data) {
    const reason = data.reason ? `: ${data.reason}` : "";
    return { kind: "end", title: "turn" in data ? `Turn ${data.turn} ended${reason}` : `Ended${reason}` };
  },
  preview: (data) => ({ kind: "note", title: "Preview", text: `Port ${data.port} is at ${data.url}` }),
};

function say(talk, data, at, kind) {
  const shown = kind === "thinking" ? { kind, title: "Thinking" } : { kind: "said", title: "Agent" };
  talk.extend({ ...shown, at, key: keyOf(kind, data.message) }, data, String(data.text ?? ""));
}

function call(talk, data, at) {
  const key = keyOf("call", data.callId);
  return talk.keyed(key) || talk.append({ kind: "call", title: data.tool ?? "", at, body: "terminal", key });
}

function prompt(data) {
  const turn = "turn" in data ? ` · turn ${data.turn}` : "";
  const by = data.agent === "scripted" ? " · stand-in, no model" : "";
  return { kind: "prompt", title: `Prompt${turn}${by}`, text: data.prompt ?? data.text ?? "" };
}

function other(data, type) {
  return { kind: "note", title: type, text: typeof data.text === "string" ? data.text : JSON.stringify(data, null, 2), body: "terminal" };
}

function input(given) {
  const name = INPUTS.find((one) => given && one in given);
  if (name) return String(given[name]);
  return given && Object.keys(given).length ? JSON.stringify(given) : "";
}

function keyOf(kind, name) {
  return name === undefined || name === null ? "" : `${kind}:${name}`;
}

function clear(item, terminals) {
  const body = item.querySelector(".body");
  item.querySelector(".cut")?.remove();
  body.replaceChildren();
  terminals.set(body, new Terminal());
}

function setState(item, state) {
  item.dataset.state = item.querySelector(".state").textContent = state;
}

function line(text) {
  const name = text.startsWith("+++") || text.startsWith("---") ? "" : LINES[text[0]] ?? "";
  return name ? span(text, name) : text;
}

function heading(title, at) {
  const time = element("time", "");
  time.dateTime = time.title = at;
  time.textContent = new Date(at).toLocaleTimeString();
  const head = element("p", "head");
  head.append(element("strong", "title", title), " ", element("span", "state"), " ", time);
  return head;
}

function element(tag, name, text = "") {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.textContent = text;
  return made;
}
