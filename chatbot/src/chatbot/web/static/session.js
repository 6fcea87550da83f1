// Who is signed in on this page. The tokens live as long as the tab and are sent only to this server.
import { element, problemOf } from "./chat.js";
import { solve } from "./proof.js";

const KEPT = "bitb-chatbot-session";
// Renewed a little early: a request may take that long.
const EARLY_MS = 30_000;
let renewing = null;

// Requests with the access token, renewed when it has run out; an ended session asks to sign in again.
export async function signedFetch(path, init = {}) {
  let session = kept();
  if (session.until < Date.now()) {
    // A refresh token works once: requests side by side share one renewal.
    renewing ??= renew(session).finally(() => (renewing = null));
    session = await renewing;
  }
  const headers = { ...init.headers, Authorization: `Bearer ${session?.token}` };
  const response = await fetch(path, { ...init, headers });
  if (response.status === 401) leave();
  return response;
}

// Shows the form until somebody is signed in, then `start`.
export function signedIn(main, start) {
  if (!kept()) {
    main.append(form());
    return;
  }
  const button = document.getElementById("sign-out");
  button.hidden = false;
  button.addEventListener("click", async () => {
    await signedFetch("/api/sign-out", { method: "POST" });
    leave();
  });
  start();
}

// Signs in and keeps the session; the server's words where it refuses, else null.
export async function signIn(tenant, email, password) {
  let response = await post("/api/sign-in", { tenant, email, password });
  // After failed attempts a proof of work is asked for: the browser pays it, the person only waits a little.
  const challenge = response.ok ? null : (await response.clone().json()).challenge;
  if (challenge) response = await post("/api/sign-in", { tenant, email, password, proof: await solve(challenge) });
  if (!response.ok) return problemOf(response);
  keep(await response.json());
  return null;
}

export function post(path, body) {
  return fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

export function field(label, properties) {
  const input = element("input", { required: true, ...properties });
  return { input, view: [element("label", { htmlFor: properties.id }, label), input] };
}

function kept() {
  return JSON.parse(sessionStorage.getItem(KEPT));
}

function keep({ access_token, refresh_token, expires_in }) {
  const session = { token: access_token, refresh: refresh_token, until: Date.now() + expires_in * 1000 - EARLY_MS };
  sessionStorage.setItem(KEPT, JSON.stringify(session));
  return session;
}

async function renew(session) {
  const response = await post("/api/sign-in/refresh", { refresh_token: session.refresh });
  return response.ok ? keep(await response.json()) : null;
}

function leave() {
  sessionStorage.removeItem(KEPT);
  location.reload();
}

function form() {
  const tenant = field("Tenant", { id: "tenant", autocomplete: "organization" });
  const email = field("E-mail", { id: "email", type: "email", autocomplete: "username" });
  const password = field("Password", { id: "password", type: "password", autocomplete: "current-password" });
  const said = element("p", { role: "alert", className: "bad" });
  const button = element("button", { className: "main" }, "Sign in");
  const view = element(
    "form", { className: "card narrow" },
    element("h1", {}, "Sign in"), ...tenant.view, ...email.view, ...password.view, button, said,
  );
  view.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    said.textContent = "";
    const refusal = await signIn(tenant.input.value.trim(), email.input.value.trim(), password.input.value);
    button.disabled = false;
    if (refusal) said.textContent = refusal;
    else location.reload();
  });
  return view;
}
