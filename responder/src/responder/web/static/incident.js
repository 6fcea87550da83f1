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
  const next = await answer.text();
  const open = new Set([...live.querySelectorAll("details[open]")].map(place));
  const focused = document.activeElement;
  if (live.contains(focused) && focused.tagName === "SELECT") return;
  const forms = [...live.querySelectorAll("form")].filter(inUse);
  live.innerHTML = next;
  for (const form of forms) {
    const fresh = [...live.querySelectorAll("form")].find((other) => other.action === form.action);
    if (fresh) fresh.replaceWith(form);
    if (form.contains(focused)) focused.focus({ preventScroll: true });
  }
  for (const details of live.querySelectorAll("details")) details.open = open.has(place(details)) || details.open;
}

// A form in which a person is typing, or is told what is wrong, stays as it is.
function inUse(form) {
  const fields = [...form.querySelectorAll("input:not([type=hidden]), textarea, select")];
  return fields.some((field) => field === document.activeElement || field.hasAttribute("aria-invalid") || changed(field));
}

function changed(field) {
  if (field.tagName !== "SELECT") return field.value !== field.defaultValue;
  return [...field.options].some((option) => option.selected !== option.defaultSelected);
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
