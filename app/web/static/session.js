// The access token lives in this module's memory alone; the refresh token is an HttpOnly cookie that no script can read.

const API = "/api/v1/auth";
const HINT = "assay-signed-in"; // not a secret: says that asking for a new token is worth a request
const EARLY_MS = 30_000; // renew a little before the end, so that no request meets an expired token

let token = null;
let endsAt = 0;
let renewing = null;

export class SignedOut extends Error {}

export async function signIn(username, password) {
  const body = new URLSearchParams({ username, password, cookie: "true" });
  const answer = await fetch(`${API}/token`, { method: "POST", body });
  if (!answer.ok) throw new Error(await words(answer));
  keep(await answer.json());
}

export async function signOut() {
  const headers = { Authorization: `Bearer ${token}` };
  forget(); // first: a reload right now must not sign in again
  await fetch(`${API}/logout`, { method: "POST", headers, keepalive: true });
}

/** A token that is good for at least a few seconds; throws SignedOut when only a new sign-in helps. */
export function fresh() {
  if (token && Date.now() < endsAt) return Promise.resolve(token);
  if (!localStorage.getItem(HINT)) return Promise.reject(new SignedOut());
  renewing ??= renew().finally(() => { renewing = null; });
  return renewing;
}

export function forget() {
  token = null;
  localStorage.removeItem(HINT);
}

// Two tabs must not send the same cookie twice: a refresh token used twice ends the whole session.
function renew() {
  const once = async () => {
    const answer = await fetch(`${API}/refresh`, { method: "POST" });
    if (answer.status >= 500 || answer.status === 429) throw new Error(await words(answer));
    if (!answer.ok) throw new SignedOut();
    return keep(await answer.json());
  };
  return navigator.locks ? navigator.locks.request("assay-refresh", once) : once();
}

function keep({ access_token, expires_in }) {
  token = access_token;
  localStorage.setItem(HINT, "1");
  endsAt = Date.now() + expires_in * 1000 - EARLY_MS;
  return token;
}

/** What went wrong, in the server's words where it has some. */
export async function words(answer) {
  const problem = await answer.json().catch(() => ({}));
  const said = problem.detail || problem.title;
  return said || `The server answered ${answer.status}. Try again in a moment.`;
}
