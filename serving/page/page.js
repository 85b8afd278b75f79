// The live page: how the views stand, a question, and its answer as it changes.

import { table, toldBy } from "./answer.js";
import { chart, drawing } from "./chart.js";
import { $, areNumbers, grouped, make, options, say } from "./elements.js";
import { groupOf, layered } from "./layers.js";
import { fill, list, offer, written } from "./question.js";
import { call, events, forgetKey, hasKey, onClosed, path, read, useKey, wait } from "./server.js";
import { card, catalogue, joint, standing } from "./standing.js";
import { curl, python, sql, why } from "./words.js";

const EVERY = 2000;

let told = null;      // what the view that is asked says of itself
let chosen = "";      // its name
let asked = null;     // the question that was asked last, as parameters
let answer = null;
let layers = null;    // what each layer holds of what is drawn, and which measure of which answer that is
let cut = "";         // where the two met when the view was last looked at
let following = new AbortController();
let polling = 0;

// --- the key

function closed() {
  say($("refused"), hasKey() ? "That key opens nothing here." : "");
  leave();
  $("door").hidden = false;
  $("inside").hidden = true;
  say($("standing"), "A key is needed.");
}

function leave() {
  forgetKey();
  clearTimeout(polling);
  following.abort();
  [told, chosen, asked, answer, layers] = [null, "", null, null, null];
  const filled = ["bars", "offsets", "views", "catalogue", "by", "measures", "view", "chart", "shares", "copy", "shown"];
  for (const id of filled) $(id).replaceChildren();
  for (const of of document.querySelectorAll(".of, #receipt, #meet, #rows > *")) of.replaceChildren();
  $("result").hidden = true;
}

onClosed(closed);
$("door").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey($("key").value.trim());
  $("key").value = "";
  poll();
});
$("forget").addEventListener("click", () => { leave(); closed(); $("key").focus(); });

// --- how the views stand

async function poll() {
  clearTimeout(polling);
  if (document.hidden) return;
  try {
    const status = await read(await call("v1/status"));
    $("door").hidden = true;
    $("inside").hidden = false;
    $("forget").hidden = !hasKey();
    standing(status);
    await facts(status);
  } catch (error) {
    if (error.status === 401) return;
    say($("standing"), `The server does not answer: ${error.message}`);
  }
  clearTimeout(polling);
  polling = setTimeout(poll, EVERY);
}

async function facts({ now, views }) {
  const names = views.map((view) => view.view);
  options($("view"), names);
  if (chosen) $("view").value = chosen;
  $("views").replaceChildren(...views.map((view) => card(view, now)));
  if (!names.includes(chosen)) await choose(names);
  const own = views.find((view) => view.view === chosen);
  if (!own) return;
  joint(own);
  if (told && own.version && own.version !== told.version) await describe(chosen);
  const met = JSON.stringify(own.cut);
  if (answer && met !== cut) await share(); // rows that stay as they were are not sent again when only the cut slides
  cut = met;
}

// --- the question

async function choose(names) {
  const linked = new URLSearchParams(location.hash.slice(1));
  const name = names.includes(linked.get("view")) ? linked.get("view") : names[0];
  if (name === undefined) return;
  await open(name, linked.get("view") === name ? linked : null);
}

async function open(name, question) {
  chosen = name;
  following.abort();
  $("view").value = name;
  for (const of of document.querySelectorAll(".of")) of.textContent = name;
  $("result").hidden = true;
  if (await describe(name)) ask(fill(question || new URLSearchParams({ by: Object.keys(told.keys)[0] || "" })));
}

async function describe(name) {
  try {
    told = await read(await call(path(name)));
  } catch (error) {
    told = null;
    failed(error);
    return false;
  }
  offer(told);
  catalogue(told);
  $("embed").hidden = !told.shares;
  return true;
}

function ask(question) {
  following.abort();
  following = new AbortController();
  const { signal } = following;
  asked = question;
  [answer, layers] = [null, null];
  history.replaceState(null, "", `#${new URLSearchParams([["view", chosen], ...question])}`);
  $("copy").hidden = true;
  say($("copied"), "");
  say($("said"), "asking …");
  follow(chosen, question, signal);
}

// Asks, and then shows each newer answer: as the server sends them, or asked for again where it sends none.
async function follow(view, question, signal) {
  let tag = "", streams = true;
  const once = async () => {
    const headers = tag ? { "If-None-Match": tag } : {};
    const response = await call(`${path(view, "/query")}?${question}`, { signal, headers });
    if (response.status === 304) return;
    tag = response.headers.get("etag");
    succeeded(await read(response), signal);
    if ($("said").textContent === "asking …") say($("said"), `${answer.rows.length} rows`);
  };
  const stream = async () => {
    const headers = { Accept: "text/event-stream" };
    const response = await call(`${path(view, "/live")}?${question}`, { signal, headers });
    for await (const news of events(response.body)) {
      if (news.receipt) succeeded(news, signal);
      else failed({ message: news.detail, next: news.next });
    }
  };
  for (let first = true; first || $("live").checked; first = false) {
    try {
      await (streams && !first ? stream() : once());
    } catch (error) {
      if (signal.aborted) return;
      const refused = error.status >= 400 && error.status < 500;
      if (streams && !first && refused) streams = false;
      else failed(error);
      if (first && refused) return;
    }
    if (!first || !streams) await wait(EVERY);
    if (signal.aborted) return;
  }
}

function failed(error) {
  if (error.status === 401) return;
  say($("said"), "");
  say($("problem"), error.next ? `${error.message} → ${error.next}` : error.message);
}

$("ask").addEventListener("submit", (event) => { event.preventDefault(); if (told) ask(written()); });
$("view").addEventListener("change", () => open($("view").value, null));
$("live").addEventListener("change", () => { if (told && $("live").checked) ask(written()); else following.abort(); });
addEventListener("hashchange", () => { chosen = ""; poll(); });
addEventListener("resize", () => { if (answer) draw(); });
document.addEventListener("visibilitychange", () => {
  following.abort();
  if (!document.hidden) poll().then(() => { if (told && asked) ask(asked); });
});

// --- the answer

function succeeded(found, signal) {
  if (signal.aborted) return;
  answer = found;
  say($("problem"), "");
  $("result").hidden = false;
  const numbers = Object.keys(found.rows[0] || {}).filter((name) => areNumbers(told, name, found.rows));
  options($("shown"), numbers);
  $("charted").hidden = !numbers.length;
  table(found.rows, told, (row) => why(chosen, asked, told, row), tell);
  say($("receipt"), toldBy(found.receipt));
  share();
}

const drawingOf = () => drawing(answer.rows, list(asked.get("by") || ""), $("as").value);

// Asks what each layer holds of what is drawn, and draws it: whole where that is not asked, or cannot be told.
async function share() {
  const [found, measure, { signal }] = [answer, $("shown").value, following];
  const { form, some } = drawingOf();
  const additive = told.additive.includes(measure) && form !== "lines" && some.length;
  const shared = additive ? await layered(chosen, asked, told, measure, some, signal).catch(() => null) : null;
  if (found !== answer || measure !== $("shown").value || signal !== following.signal) return; // of another by now
  layers = shared && { ...shared, measure };
  draw();
}

function draw() {
  const measure = $("shown").value, drawing_ = drawingOf();
  const parts = layers?.measure === measure && drawing_.form !== "lines" ? layers.parts : null;
  const of = (row) => parts.get(groupOf(asked, row)) ?? [0, 0];
  const known = parts && drawing_.some.every((row) => parts.has(groupOf(asked, row)));
  const stacked = known && drawing_.some.every((row) => of(row).every((part) => +part >= 0)); // else one would hide the other
  const width = Math.max(240, $("chart").clientWidth);
  $("as").parentElement.hidden = !drawing_.choice;
  $("chart").replaceChildren(...(measure && answer.rows.length ? chart(drawing_, measure, answer.rows, stacked ? of : null, width) : []));
  $("key-of-chart").hidden = !stacked;
  $("of-layers").hidden = !known;
  if (known) shares(drawing_, measure, of);
}

// The same in words: where the two meet, and what each holds of every bar.
function shares({ some, label }, measure, of) {
  const at = (position) => Object.values(position).join("·") || "0";
  say($("meet"), `batch below cut ${at(layers.receipt.cut)}, speed from there to ${at(layers.receipt.position)}, seq ${layers.receipt.seq}`);
  const name = (row) => [label(row), row.bucket && !label(row).includes(row.bucket.slice(0, 10)) ? row.bucket : ""].filter(Boolean).join(" · ") || "all";
  $("shares").replaceChildren(...some.map((row) => make("tr", {}, make("th", { scope: "row" }, name(row)),
    ...[...of(row), row[measure] ?? 0].map((n) => make("td", { className: "number" }, grouped(n))))));
}

$("shown").addEventListener("change", () => { layers = null; if (answer) share(); });
$("as").addEventListener("change", () => { layers = null; if (answer) share(); });

// --- in other words

// Shows words to be copied, and copies them where the page may.
async function tell(words) {
  $("copy").hidden = false;
  $("copy").textContent = words;
  // A page that did not come over https, or from this machine, has no clipboard.
  const copied = await navigator.clipboard?.writeText(words).then(() => true, () => false);
  say($("copied"), copied ? "Copied." : "Select it below.");
}

const base = () => new URL(".", document.baseURI).href.replace(/#.*/, "");
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", () => tell({ curl, python, sql }[button.dataset.copy](chosen, asked, button.dataset.copy === "sql" ? told : base())));
}
$("embed").addEventListener("click", async () => {
  try {
    const made = await read(await call(path(chosen, "/embed"), { body: { question: asked.toString() } }));
    const url = new URL(made.path.slice(1), document.baseURI).href;
    await tell(`<iframe src="${url}" title="${chosen}" width="100%" height="400"></iframe>`);
    say($("copied"), `Whoever has this link sees the answer until ${new Date(made.expires * 1000).toISOString().slice(0, 10)}.`);
  } catch (error) {
    failed(error);
  }
});

poll();
