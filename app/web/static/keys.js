// Keyboard shortcuts for the inbox. Everything here also works without: each key presses something visible.
"use strict";
const all = () => [...document.querySelectorAll(".row")];
const dialog = document.getElementById("keys");
const NAME = "foreshock-shortcuts";

function isOn() {
  try { return localStorage.getItem(NAME) !== "off"; } catch { return true; }
}

function current() {
  return all().find((row) => row.contains(document.activeElement)) ?? null;
}

function move(by) {
  const rows = all();
  if (!rows.length) return;
  const at = rows.indexOf(current());
  const next = at < 0 ? 0 : Math.min(Math.max(at + by, 0), rows.length - 1);
  const link = rows[next].querySelector(".go");
  link.focus();
  rows[next].scrollIntoView({ block: "nearest" });
}

function press(key) {
  const part = (current() ?? document).querySelector(`[data-key="${key}"]`);
  if (part instanceof HTMLFormElement) part.requestSubmit();
  else if (part instanceof HTMLInputElement) part.click();
  else if (part) {
    part.open = true;
    part.querySelector("select, input:not([type=hidden])")?.focus();
  }
}

// On a list a key decides about the row that has the focus; elsewhere there is one alert to decide about.
function decide(key) {
  if (current() || !all().length) press(key);
}

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  a: () => decide("a"),
  s: () => decide("s"),
  o: () => decide("o"),
  d: () => decide("d"),
  x: () => decide("x"),
  m: () => {
    const to = current()?.querySelector(".go[href^='/patterns/']");
    if (to) location.assign(`${to.href}#merge`);
    else document.getElementById("merge")?.setAttribute("open", "");
  },
  "/": () => document.querySelector("input[type=search]")?.focus(),
  "?": () => dialog?.showModal(),
};

document.addEventListener("keydown", (event) => {
  const target = event.target;
  if (event.key === "Escape") {
    const menu = target.closest?.("details.menu[open]");
    if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || dialog?.open || !isOn()) return;
  if (target.closest?.("input, select, textarea, [contenteditable]")) return;
  const act = KEYS[event.key];
  if (act) { event.preventDefault(); act(); }
});

if (dialog) {
  const help = document.getElementById("help");
  const box = document.getElementById("keys-on");
  help.hidden = false;
  help.addEventListener("click", () => dialog.showModal());
  box.checked = isOn();
  box.addEventListener("change", () => {
    try { localStorage.setItem(NAME, box.checked ? "on" : "off"); } catch { /* private mode: for this page only */ }
  });
}

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
