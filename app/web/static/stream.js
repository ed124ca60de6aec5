// Server-sent events over fetch: EventSource can't send a Bearer token.

import { fresh, SignedOut } from "./session.js";

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;

/** Calls `changed(modelIds)` at every event until `signal` aborts; tells `state` "live" or "lost". */
export async function follow(changed, state, signal) {
  let wait = FIRST_WAIT_MS;
  while (!signal.aborted) {
    try {
      const headers = { Authorization: `Bearer ${await fresh()}` };
      const answer = await fetch("/api/v1/analytics/stream", { headers, signal });
      if (answer.ok) {
        wait = FIRST_WAIT_MS;
        state("live");
        await read(answer.body, changed);
      }
    } catch (error) {
      if (signal.aborted || error instanceof SignedOut) return;
    }
    state("lost");
    await pause(wait, signal);
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  }
}

async function read(body, changed) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    events.forEach((event) => {
      const data = event.split("\n").find((line) => line.startsWith("data: "));
      if (data) changed(JSON.parse(data.slice(6)).models);
    });
  }
}

const pause = (ms, signal) => new Promise((done) => {
  const timer = setTimeout(done, ms);
  signal.addEventListener("abort", () => { clearTimeout(timer); done(); }, { once: true });
});
