// What a terminal printed, in its colours, as texts and elements that hold text only. terminal_text.py does the same.
// Colours of a palette or by their parts, which are not shown: their numbers are no codes.
const PALETTE = /\b[34]8;(5;\d+|2;\d+;\d+;\d+)/g;
const NOTHING = "999"; // a code that means nothing
const COLOURS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
const UNFINISHED = /\x1b(\[[0-9;]*)?$/;

// A text that comes in pieces: a piece goes on in the style in which the one before it ended.
export class Terminal {
  constructor(style = "") {
    this.classes = new Set(style.split(" ").filter(Boolean));
    this.rest = "";
  }

  elements(piece) {
    const text = this.rest + piece;
    this.rest = UNFINISHED.exec(text)?.[0] ?? "";
    const parts = [];
    for (const [index, part] of text.slice(0, text.length - this.rest.length).split(/\x1b\[([0-9;]*)m/).entries()) {
      if (index % 2) this.classes = styled(this.classes, part);
      else if (part) parts.push(this.classes.size ? span(plain(part), [...this.classes].join(" ")) : plain(part));
    }
    return parts;
  }
}

export function coloured(text) {
  return new Terminal().elements(text);
}

export function span(text, name) {
  const element = document.createElement("span");
  element.className = name;
  element.textContent = text;
  return element;
}

function styled(classes, codes) {
  const next = new Set(classes);
  for (const code of codes.replace(PALETTE, NOTHING).split(";").map(Number)) {
    if (code === 0) next.clear();
    if (code === 1) next.add("bold");
    const colour = code >= 30 && code < 38 ? code - 30 : code >= 90 && code < 98 ? code - 90 : undefined;
    if (colour !== undefined || code === 39) for (const name of COLOURS) next.delete(`ansi-${name}`);
    if (colour !== undefined) next.add(`ansi-${COLOURS[colour]}`);
  }
  return next;
}

// Without other escape sequences, which move a cursor that is not here, and without control characters.
function plain(text) {
  return text.replace(/\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])/g, "").replace(/[\x00-\x08\x0b-\x1f\x7f]/g, "");
}
