// Calls to the service. An API key, where one is needed, lives in this tab only.

const KEY = "recommender-key";

export class Problem extends Error {
  constructor(status, document) {
    super(document.detail ?? `The service answered ${status}.`);
    this.status = status;
    this.code = document.code ?? "";
  }
}

export function useKey(key) {
  sessionStorage.setItem(KEY, key);
}

export function keyHeaders() {
  const key = sessionStorage.getItem(KEY);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

async function call(path, options = {}) {
  const response = await fetch(path, { ...options, headers: { ...keyHeaders(), ...options.headers } });
  if (!response.ok) throw new Problem(response.status, await response.json().catch(() => ({})));
  return response;
}

export async function get(path) {
  return (await call(path)).json();
}

export async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return (await call(path, { method: "POST", body: JSON.stringify(body), headers })).json();
}

// Server-sent events by fetch: unlike EventSource it can send a key. Calls `changed` once at the start and then after
// every change, and connects again after a pause when the connection is lost; `signal` ends it.
export async function follow(path, changed, signal) {
  while (!signal.aborted) {
    try {
      const response = await call(path, { signal });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let pending = "";
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        pending += part.value.replaceAll("\r", "");
        const messages = pending.split("\n\n");
        pending = messages.pop();
        for (const message of messages) {
          const data = message.split("\n").find((line) => line.startsWith("data: "));
          if (data) changed(JSON.parse(data.slice(6)));
        }
      }
    } catch (error) {
      if (signal.aborted || error.status === 401 || error.status === 403) return;
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
