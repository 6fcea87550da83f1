// Follows the incident's stream and brings in the part of the page that changed. Without this script the page still works.
"use strict";
const live = document.getElementById("live");
const name = live.dataset.incident;
let pending = false;

async function refresh() {
  if (pending) return;
  pending = true;
  // Several entries often come at once: one request is enough for them.
  await new Promise((done) => setTimeout(done, 150));
  pending = false;
  const answer = await fetch(`/incidents/${name}/live`, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const open = new Set([...live.querySelectorAll("details[open]")].map(place));
  const focused = live.contains(document.activeElement);
  if (focused && document.activeElement.tagName === "SELECT") return;
  live.innerHTML = await answer.text();
  for (const details of live.querySelectorAll("details")) details.open = open.has(place(details)) || details.open;
}

function place(details) {
  return [...live.querySelectorAll("details")].indexOf(details);
}

const stream = new EventSource(`/api/incidents/${name}/stream`);
stream.onmessage = (event) => {
  if (Number(event.lastEventId) <= Number(live.dataset.seq)) return;
  live.dataset.seq = event.lastEventId;
  refresh();
};
