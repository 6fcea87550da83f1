// A tenant's documents: put in, watched until they answer, taken out.
import { element, problemOf } from "./chat.js";
import { signedFetch, signedIn } from "./session.js";

const POLL_MS = 1000;
const UNDER_WAY = new Set(["queued", "parsing", "embedding"]);
const main = document.querySelector("main");
const said = element("p", { role: "status", className: "soft" });
const rows = element("tbody", {});
let polling = null;

signedIn(main, () => {
  main.append(
    element("h1", {}, "Documents"),
    uploadArea(), pageForm(), said,
    element(
      "table", {},
      element("caption", {}, "What the chatbot answers from. A file of the same name replaces the one before, once it is ready."),
      element("thead", {}, element("tr", {}, ...["Title", "Status", "Passages", "Since", ""].map((name) => element("th", { scope: "col" }, name)))),
      rows,
    ),
  );
  refresh();
});

function uploadArea() {
  const input = element("input", { type: "file", id: "files", multiple: true, accept: ".pdf,.html,.htm,.md,.markdown,.txt" });
  const area = element(
    "div", { className: "drop" },
    element("label", { htmlFor: "files" }, "Drop PDF, HTML, Markdown or text files here, or choose them: "), input,
  );
  input.addEventListener("change", async () => {
    await uploadAll(input.files);
    input.value = "";
  });
  for (const [name, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
    area.addEventListener(name, (event) => {
      event.preventDefault();
      area.classList.toggle("over", over);
      if (name === "drop") uploadAll(event.dataTransfer.files);
    });
  }
  return area;
}

async function uploadAll(files) {
  for (const file of files) {
    said.textContent = `Sending ${file.name} …`;
    // The server looks at the bytes: the browser's guess at a type is better left out than wrong.
    const response = await signedFetch(`/api/documents?title=${encodeURIComponent(file.name)}`, {
      method: "POST",
      headers: { "Content-Type": "application/octet-stream" },
      body: file,
    });
    said.textContent = response.ok ? `${file.name} is in the queue.` : `${file.name}: ${await problemOf(response)}`;
    if (!response.ok) break;
  }
  refresh();
}

function pageForm() {
  const input = element("input", { type: "url", id: "url", required: true, placeholder: "https://" });
  const form = element("form", { className: "put" }, element("label", { htmlFor: "url" }, "Or the address of a page", input), element("button", {}, "Add the page"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const response = await signedFetch("/api/documents/urls", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ urls: [{ url: input.value }] }),
    });
    said.textContent = response.ok ? "The page is in the queue." : await problemOf(response);
    if (response.ok) input.value = "";
    refresh();
  });
  return form;
}

async function refresh() {
  clearTimeout(polling);
  const found = [];
  for (let after = ""; after !== null; ) {
    const response = await signedFetch(`/api/documents?after=${encodeURIComponent(after)}`);
    if (!response.ok) {
      said.textContent = await problemOf(response);
      return;
    }
    const page = await response.json();
    found.push(...page.documents);
    after = page.next;
  }
  rows.replaceChildren(...(found.length ? found.map(row) : [element("tr", {}, element("td", { colSpan: 5 }, "Nothing yet."))]));
  if (found.some((document) => UNDER_WAY.has(document.status))) polling = setTimeout(refresh, POLL_MS);
}

function row(document) {
  const remove = element("button", { type: "button", ariaLabel: `Delete ${document.title}` }, "Delete");
  remove.addEventListener("click", () => confirmDeletion(document, remove));
  const colour = { ready: "good", failed: "bad" }[document.status] ?? "soft";
  const status = element("td", {}, element("span", { className: colour }, document.status));
  if (document.reason) status.append(element("div", { className: "soft" }, document.reason));
  status.dataset.name = "Status";
  const passages = element("td", {}, String(document.passages));
  passages.dataset.name = "Passages";
  const since = element("td", {}, new Date(document.revised_at).toLocaleString());
  since.dataset.name = "Since";
  return element("tr", {}, element("td", {}, document.title), status, passages, since, element("td", {}, remove));
}

function confirmDeletion(document, opener) {
  const yes = element("button", { className: "main" }, "Delete it");
  const no = element("button", { autofocus: true }, "Keep it");
  const dialog = element(
    "dialog", { className: "passage" },
    element("h2", {}, `Delete ${document.title}?`),
    element("p", {}, "Nothing will be answered from it any more. This cannot be undone."),
    element("form", { className: "confirm", method: "dialog" }, yes, no),
  );
  yes.value = "yes";
  dialog.addEventListener("close", async () => {
    dialog.remove();
    if (dialog.returnValue !== "yes") {
      opener.focus();
      return;
    }
    const response = await signedFetch(`/api/documents/${document.id}`, { method: "DELETE" });
    said.textContent = response.ok ? `${document.title} is deleted.` : await problemOf(response);
    refresh();
  });
  main.append(dialog);
  dialog.showModal();
}
