// The widget, in one line of somebody's page:
//   <script src="https://chat.example.com/widget.js" data-key="pk_…" async></script>
// It lives in a shadow root, so that the page's styles and its own do not meet. The key is public: it opens a session only
// from the origins that its tenant has listed, and the session's token is short-lived and kept in memory.
(() => {
  "use strict";
  const script = document.currentScript;
  const server = new URL(script.src).origin;
  const key = script.dataset.key;
  if (!key) {
    console.error("bitb-chatbot: the script has no data-key. Make one with: chatbot widget create.");
    return;
  }
  let session = null;

  async function token() {
    if (session && session.until > Date.now()) return { token: session.token };
    const refusedOrOpened = await fetch(`${server}/api/widget/sessions`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ key }),
    });
    if (!refusedOrOpened.ok) return { refused: refusedOrOpened };
    const opened = await refusedOrOpened.json();
    // A minute early: an answer may take that long.
    session = { token: opened.token, until: Date.now() + (opened.expires_in - 60) * 1000 };
    return { token: session.token };
  }

  async function ask(message, conversation, signal) {
    const { token: bearer, refused } = await token();
    if (refused) return refused;
    const response = await fetch(`${server}/api/chat`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${bearer}` },
      body: JSON.stringify(conversation ? { message, conversation_id: conversation } : { message }),
      signal,
    });
    if (response.status === 401) session = null;
    return response;
  }

  async function build() {
    const [{ element, mountChat }, styles, frame] = await Promise.all([
      import(`${server}/static/chat.js`),
      sheet("chat.css"),
      sheet("widget.css"),
    ]);
    const host = document.createElement("div");
    const shadow = host.attachShadow({ mode: "open" });
    shadow.adoptedStyleSheets = [styles, frame];
    const name = script.dataset.title ?? "Ask a question";
    const panel = element("section", { className: "panel", hidden: true, role: "dialog", ariaLabel: name });
    const close = element("button", { type: "button", ariaLabel: "Close" }, "×");
    const open = element("button", { type: "button", className: "main open", ariaExpanded: "false" }, name);
    panel.append(element("header", {}, element("strong", {}, name), close));
    const body = element("div", { className: "body" });
    panel.append(body);
    const chat = mountChat(body, { ask, greeting: script.dataset.greeting });

    function show(visible) {
      panel.hidden = !visible;
      open.hidden = visible;
      open.ariaExpanded = String(visible);
      (visible ? chat : open).focus();
    }
    open.addEventListener("click", () => show(true));
    close.addEventListener("click", () => show(false));
    // Where a passage is open, Escape closes that first.
    panel.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !shadow.querySelector("dialog[open]")) show(false);
    });
    shadow.append(open, panel);
    document.body.append(host);
  }

  async function sheet(name) {
    const made = new CSSStyleSheet();
    made.replaceSync(await (await fetch(`${server}/static/${name}`)).text());
    return made;
  }

  build();
})();
