// The theme that this browser chose, before the page is drawn: otherwise a dark page would flash white first.
"use strict";

const stored = {
  get(name) {
    try { return localStorage.getItem(name); } catch { return null; } // a browser may keep nothing for a page
  },
  set(name, value) {
    try { localStorage.setItem(name, value); } catch { /* it holds for this page only */ }
  },
};

function showTheme(theme) {
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

showTheme(stored.get("theme"));
