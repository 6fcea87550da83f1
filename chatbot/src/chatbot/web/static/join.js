// Where the link of an invitation leads: choose a password, and be signed in.
import { element, problemOf } from "./chat.js";
import { field, post, signIn } from "./session.js";

const main = document.querySelector("main");
const invitation = new URLSearchParams(location.hash.slice(1)).get("invitation");
const password = field("New password", { id: "password", type: "password", autocomplete: "new-password" });
const said = element("p", { role: "alert", className: "bad" });
const button = element("button", { className: "main" }, "Set the password");
const form = element("form", { className: "card narrow" }, element("h1", {}, "Choose a password"), ...password.view, button, said);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  said.textContent = "";
  const accepted = await post("/api/invitations/accept", { invitation, password: password.input.value });
  let refusal = accepted.ok ? null : await problemOf(accepted);
  if (accepted.ok) {
    const { tenant, email } = await accepted.json();
    refusal = await signIn(tenant, email, password.input.value);
  }
  button.disabled = false;
  if (refusal) said.textContent = refusal;
  else location.assign("/documents");
});

main.append(invitation ? form : element("p", {}, "This link is not whole: open the one that you were sent, to its last letter."));
