// A conversation: questions in, answers streamed out, each [n] a button that opens the passage it cites.
// Used by the chat page and by the widget; everything is built with textContent, so that no answer can become markup.

const BROKE_OFF = "The answer broke off.";
const CITATION = /\[(\d{1,3})\]/;

// `ask(message, conversationId, signal)` gives the Response of POST /api/chat; whoever mounts the chat signs the request.
export function mountChat(root, { ask, greeting, placeholder = "Ask a question" }) {
  const log = element("div", { className: "log", role: "log", tabIndex: 0, ariaLabel: "Conversation" });
  const passage = passageDialog();
  const input = element("textarea", { rows: 1, maxLength: 4000, required: true, placeholder, ariaLabel: placeholder });
  const send = element("button", { type: "submit", className: "main" }, "Send");
  const stop = element("button", { type: "button", hidden: true }, "Stop");
  const form = element("form", { className: "ask" }, input, send, stop);
  const talk = { id: null, running: null };

  input.addEventListener("keydown", (event) => {
    // isComposing: Enter that ends the choice of a character in an input method is no wish to send.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  stop.addEventListener("click", () => talk.running?.abort());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const message = input.value.trim();
    if (!message || talk.running) return;
    input.value = "";
    add(log, element("p", { className: "question" }, message));
    const answer = answerView(passage);
    add(log, answer.view);
    talk.running = new AbortController();
    setBusy(true);
    try {
      await follow(await ask(message, talk.id, talk.running.signal), answer, talk);
    } catch (error) {
      answer.end(error.name === "AbortError" ? "Stopped." : "The connection broke. Ask again.");
    }
    talk.running = null;
    setBusy(false);
    log.scrollTop = log.scrollHeight;
    input.focus();
  });

  function setBusy(busy) {
    send.hidden = busy;
    stop.hidden = !busy;
  }

  root.append(log, form, passage.dialog);
  if (greeting) log.append(element("p", { className: "soft" }, greeting));
  return { focus: () => input.focus(), stop: () => talk.running?.abort() };
}

async function follow(response, answer, talk) {
  if (!response.ok) {
    answer.end(await problemOf(response));
    return;
  }
  for await (const { name, data } of events(response)) {
    if (name === "sources") answer.sources(data.sources);
    else if (name === "token") answer.token(data.text);
    else if (name === "error") answer.end(`${data.title}. ${data.remedy}`);
    else if (name === "done") {
      talk.id = data.conversation_id ?? talk.id;
      answer.end(data.kind === "incomplete" ? BROKE_OFF : "");
      return;
    }
  }
  answer.end(BROKE_OFF);
}

// The server's own words for a refusal (RFC 9457), with what to do.
export async function problemOf(response) {
  try {
    const problem = await response.json();
    return `${problem.title}: ${problem.detail} ${problem.remedy ?? ""}`.trim();
  } catch {
    return `The server answered ${response.status}. Try again in a moment.`;
  }
}

// The frames of a stream of server-sent events; comments that keep the connection alive are left out.
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const frames = (held + value).split("\n\n");
    held = frames.pop();
    for (const frame of frames) {
      const lines = frame.split("\n");
      const field = (name) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      if (field("data")) yield { name: field("event"), data: JSON.parse(field("data")) };
    }
  }
}

function answerView(passage) {
  const text = element("div", { className: "text" });
  const note = element("p", { className: "soft note", hidden: true });
  const list = element("ol", { className: "sources", hidden: true, ariaLabel: "Sources" });
  // Busy until its end, so that a screen reader reads the answer once and whole.
  const view = element("article", { className: "answer", ariaBusy: "true" }, text, note, list);
  const known = new Map();
  let said = "";

  return {
    view,
    sources(sources) {
      for (const source of sources) known.set(source.number, source);
    },
    token(piece) {
      said += piece;
      const log = view.parentElement;
      const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
      text.replaceChildren(...citing(said, known, passage));
      if (atEnd) log.scrollTop = log.scrollHeight;
    },
    end(words) {
      note.textContent = words;
      note.hidden = !words;
      const cited = [...known.values()].filter((source) => said.includes(`[${source.number}]`));
      list.replaceChildren(...cited.map((source) => sourceItem(source, passage)));
      list.hidden = !cited.length;
      view.ariaBusy = "false";
    },
  };
}

// Text with each [n] that a source stands behind as a button. The odd pieces of the split are the numbers.
function citing(said, known, passage) {
  return said.split(new RegExp(CITATION, "g")).map((piece, index) => {
    const source = index % 2 ? known.get(Number(piece)) : undefined;
    if (source) return citation(source, passage);
    return document.createTextNode(index % 2 ? `[${piece}]` : piece);
  });
}

function citation(source, passage) {
  const button = element(
    "button",
    { type: "button", className: "cite", ariaLabel: `Source ${source.number}: ${source.title}` },
    `[${source.number}]`,
  );
  button.addEventListener("click", () => passage.show(source));
  return button;
}

function sourceItem(source, passage) {
  const button = element("button", { type: "button", className: "quiet" }, source.title);
  button.addEventListener("click", () => passage.show(source));
  return element("li", { value: source.number }, button);
}

function passageDialog() {
  const title = element("h2", { id: "passage-title" });
  const heading = element("p", { className: "soft" });
  const body = element("blockquote", {});
  const close = element("button", { type: "button" }, "Close");
  const dialog = element("dialog", { className: "passage" }, title, heading, body, close);
  dialog.setAttribute("aria-labelledby", "passage-title");
  close.addEventListener("click", () => dialog.close());
  return {
    dialog,
    show(source) {
      title.textContent = source.title;
      heading.textContent = [source.heading, source.page ? `Page ${source.page}` : ""].filter(Boolean).join(" · ");
      body.textContent = source.text;
      dialog.showModal();
    },
  };
}

function add(log, view) {
  log.append(view);
  log.scrollTop = log.scrollHeight;
}

export function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  if (properties.role) made.setAttribute("role", properties.role);
  made.append(...children);
  return made;
}
