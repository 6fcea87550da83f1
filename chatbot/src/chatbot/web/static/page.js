// The chat page.
import { element, mountChat } from "./chat.js";
import { signedFetch, signedIn } from "./session.js";

const main = document.querySelector("main");

signedIn(main, () => {
  const root = element("section", { className: "card chat" });
  main.append(element("h1", {}, "Ask your documents"), root);
  mountChat(root, {
    greeting: "Answers come from your documents only, and each [number] opens the passage behind it.",
    ask: (message, conversation, signal) =>
      signedFetch("/api/chat", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(conversation ? { message, conversation_id: conversation } : { message }),
        signal,
      }),
  }).focus();
});
