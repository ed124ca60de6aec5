// Signs in, lets htmx fetch the view with the token, draws what came, and follows the stream.

import { show } from "./chart.js";
import { forget, fresh, signIn, signOut, SignedOut, words } from "./session.js";
import { follow } from "./stream.js";

const SOON_MS = 250; // what arrives together is shown together
const REFRESH_MS = 3000; // and at most one call in three seconds, however fast the stream is

const byId = (id) => document.getElementById(id);
let token = null;
let stream = null;
let timer = null;
let refreshedAt = 0;

function say(message) {
  byId("said").textContent = message;
}

function pulse(state) {
  byId("pulse").dataset.state = state;
  byId("pulse").textContent = { live: "live", lost: "reconnecting" }[state];
}

function showLogin() {
  stream?.abort();
  forget();
  say("");
  byId("view").replaceChildren();
  byId("app").hidden = true;
  byId("login").hidden = false;
  byId("username").focus();
}

async function open() {
  byId("login").hidden = true;
  byId("app").hidden = false;
  await htmx.ajax("GET", `/ui/dashboard${location.search}`, { target: "#view", swap: "innerHTML" });
  stream = new AbortController();
  follow(refresh, pulse, stream.signal);
}

// A view of the past stands still; a page that nobody looks at waits until somebody does.
function refresh() {
  if (timer || document.hidden || !byId("live") || "past" in byId("live").dataset) return;
  timer = setTimeout(() => {
    timer = null;
    refreshedAt = Date.now();
    htmx.trigger("#live", "refresh");
  }, Math.max(SOON_MS, refreshedAt + REFRESH_MS - Date.now()));
}

document.addEventListener("visibilitychange", () => { if (!document.hidden && stream) refresh(); });

document.body.addEventListener("htmx:confirm", async (event) => {
  event.preventDefault();
  try {
    token = await fresh();
    event.detail.issueRequest(true);
  } catch (error) {
    if (error instanceof SignedOut) showLogin();
    else say(error.message);
  }
});
document.body.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers.Authorization = `Bearer ${token}`;
});
document.body.addEventListener("htmx:responseError", async ({ detail: { xhr } }) => {
  if (xhr.status === 401) showLogin();
  else say(await words(new Response(xhr.responseText)));
});
document.body.addEventListener("htmx:sendError", () => say("The server can't be reached. The page shows what it last knew."));
document.body.addEventListener("htmx:afterSettle", () => {
  const live = byId("live");
  if (!live) return;
  say("");
  document.title = live.dataset.model ? `${live.dataset.model} · Assay` : "Assay";
  show(live.dataset.series ? JSON.parse(live.dataset.series) : null);
});

byId("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const fields = new FormData(event.target);
  byId("login-said").textContent = "";
  try {
    await signIn(fields.get("username"), fields.get("password"));
    event.target.reset();
    await open();
  } catch (error) {
    byId("login-said").textContent = error.message;
  }
});
byId("sign-out").addEventListener("click", async () => {
  await signOut();
  showLogin();
});

fresh().then(open, (error) => {
  showLogin();
  if (!(error instanceof SignedOut)) byId("login-said").textContent = error.message;
});
