// Asks this server, with the key of this tab where there is one.

const KEY = "dovetail.key";
let key = sessionStorage.getItem(KEY) || "";
let closed = () => {};

export const hasKey = () => key !== "";
export const onClosed = (then) => { closed = then; };

export function useKey(text) {
  key = text;
  sessionStorage.setItem(KEY, key);
}

export function forgetKey() {
  key = "";
  sessionStorage.removeItem(KEY);
}

export async function call(path, { signal, headers = {}, body } = {}) {
  const given = key ? { ...headers, Authorization: `Bearer ${key}` } : headers;
  const sent = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const response = await fetch(new URL(path, document.baseURI), { signal, headers: given, cache: "no-store", ...sent });
  if (response.status === 401) closed();
  if (response.ok || response.status === 304) return response;
  const problem = await response.json().catch(() => ({ detail: response.statusText }));
  throw Object.assign(new Error(problem.detail), { status: response.status, next: problem.next || "" });
}

// A whole number too large for a double is kept as the digits that were sent.
const parsed = (json) => JSON.parse(json, (_, value, context) =>
  (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) && context?.source) || value);
export const read = async (response) => parsed(await response.text());
export const path = (view, of = "") => `v1/views/${encodeURIComponent(view)}${of}`;
export const wait = (ms) => new Promise((done) => setTimeout(done, ms));

export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split(/\r\n\r\n|\n\n|\r\r/);
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split(/\r\n|\n|\r/).filter((line) => line.startsWith("data:"));
      if (lines.length) yield parsed(lines.map((line) => line.slice(5).replace(/^ /, "")).join("\n"));
    }
  }
}
