// Keeps an embedded answer fresh: asks for its own link again, and puts the answer in the place of the one shown.

const EVERY = 10000;
const $ = (id) => document.getElementById(id);
let tag = "";

async function look() {
  const response = await fetch(location.href, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
  if (response.status === 401 || response.status === 404) {
    for (const id of ["rows", "receipt"]) $(id).replaceChildren();
    $("problem").textContent = "This link shows nothing any more.";
    return false;
  }
  if (!response.ok && response.status !== 304) throw new Error(response.statusText);
  if (response.ok) {
    tag = response.headers.get("etag");
    const found = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const id of ["rows", "receipt"]) $(id).replaceChildren(...found.getElementById(id).childNodes);
  }
  $("problem").textContent = "";
  return true;
}

async function follow() {
  for (let shown = true; shown;) {
    await new Promise((done) => setTimeout(done, EVERY));
    if (document.hidden) continue;
    shown = await look().catch(() => {
      $("problem").textContent = "The server gives no newer answer now.";
      return true;
    });
  }
}

follow();
