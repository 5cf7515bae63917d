// Alerts that open while the inbox is being read. Without this script the page is as of its loading.
"use strict";
const bar = document.getElementById("live");
const EVERY_MS = 15000;
const PAUSED = "foreshock-paused";

function paused() {
  try { return localStorage.getItem(PAUSED) === "yes"; } catch { return false; }
}

function show(says) {
  bar.hidden = false;
  document.getElementById("live-says").textContent = says;
}

// New rows go in above what is there, and the page is scrolled by as much, so that nothing moves. Where the
// page is too short to scroll, they wait until neither pointer nor focus is in the list.
function insert(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const list = document.querySelector(".rows");
  const news = [...page.querySelectorAll(".rows > .row")].filter((row) => !document.getElementById(row.id));
  if (!news.length) return;
  if (!list) { location.reload(); return; }  // the page is empty: nothing can move
  const first = list.firstElementChild;
  const top = first.getBoundingClientRect().top;
  const added = news.map((row) => list.insertBefore(document.importNode(row, true), first));
  for (const row of added) row.classList.add("fresh");
  scrollBy({ top: first.getBoundingClientRect().top - top, behavior: "instant" });
  const moved = Math.abs(first.getBoundingClientRect().top - top) > 1;
  if (moved && list.matches(":hover, :focus-within")) {
    for (const row of added) row.remove();
    show("New alerts wait until you leave the list");
    list.addEventListener("pointerleave", () => insert(html), { once: true });
    return;
  }
  show(added.length === 1 ? "1 new alert, at the top" : `${added.length} new alerts, at the top`);
}

async function look() {
  if (document.hidden || paused()) return;
  try {
    const answer = await fetch(`/inbox/news?after=${bar.dataset.after}`, { headers: { accept: "application/json" } });
    if (!answer.ok) return;
    const news = await answer.json();
    if (news.alerts) insert(await (await fetch(location.href)).text());
    bar.dataset.after = news.newest;
  } catch { /* the network is away: the next look may find it */ }
}

if (bar) {
  const button = document.getElementById("live-pause");
  const tell = () => {
    button.setAttribute("aria-pressed", paused());
    button.textContent = paused() ? "Go on" : "Pause";
    show(paused() ? "Paused: new alerts do not appear" : "Live");
  };
  button.addEventListener("click", () => {
    try { localStorage.setItem(PAUSED, paused() ? "no" : "yes"); } catch { return; }
    tell();
    look();
  });
  tell();
  setInterval(look, EVERY_MS);
  document.addEventListener("visibilitychange", look);
}

// What was still being computed when the page was made is asked for again, and put in its place.
async function fill(left) {
  const waiting = [...document.querySelectorAll("[data-pending]")];
  if (!waiting.length || !left) return;
  try {
    const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
    for (const part of waiting) {
      const made = page.getElementById(part.id);
      if (made && !made.hasAttribute("data-pending")) part.replaceWith(document.importNode(made, true));
    }
  } catch { /* the network is away */ }
  setTimeout(fill, 2000, left - 1);
}
setTimeout(fill, 800, 10);

// What goes on while the page is open is shown as it goes; when it is over, the page is read anew.
const STEP_MS = 3000;

async function follow() {
  const part = document.querySelector("[data-watched]");
  if (!part) return;
  if (!document.hidden) {
    try {
      const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
      const now = page.getElementById(part.id);
      if (!now?.hasAttribute("data-watched")) { location.reload(); return; }
      part.replaceWith(document.importNode(now, true));
    } catch { /* the network is away */ }
  }
  setTimeout(follow, STEP_MS);
}
setTimeout(follow, STEP_MS);
