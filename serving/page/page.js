// The live page. Whatever the server says becomes text, never markup: only `make` and `drawn` make elements.

const EVERY = 2000, ROWS = 1000, BARS = 20, LINES = 6;
const KEY = "dovetail.key";
const FIELDS = ["bucket", "start", "end", "order_by", "limit"];
const OPERATORS = { not: "<>", lt: "<", lte: "<=", gt: ">", gte: ">=", prefix: "LIKE" };
const $ = (id) => document.getElementById(id);
const text = (value) => (value !== null && typeof value === "object" ? JSON.stringify(value) : String(value));

let key = sessionStorage.getItem(KEY) || "";
let told = null;      // what the view that is asked says of itself
let chosen = "";      // its name
let asked = null;     // the question that was asked last, as parameters
let answer = null;
let following = new AbortController();
let polling = 0;

// --- elements

function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function drawn(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const shown = (value) => (value === null || value === undefined ? make("span", { className: "null" }, "null") : text(value));

function say(element, words) {
  if (element.textContent !== words) element.textContent = words; // told aloud only when it changes
}

// --- the server

async function call(path, { signal, headers = {} } = {}) {
  const given = key ? { ...headers, Authorization: `Bearer ${key}` } : headers;
  const response = await fetch(new URL(path, document.baseURI), { signal, headers: given, cache: "no-store" });
  if (response.status === 401) closed();
  if (response.ok || response.status === 304) return response;
  const problem = await response.json().catch(() => ({ detail: response.statusText }));
  throw Object.assign(new Error(problem.detail), { status: response.status, next: problem.next || "" });
}

// A whole number too large for a double is kept as the digits that were sent.
const parsed = (json) => JSON.parse(json, (_, value, context) =>
  (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) && context?.source) || value);
const read = async (response) => parsed(await response.text());
const path = (view, of = "") => `v1/views/${encodeURIComponent(view)}${of}`;
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

async function* events(body) {
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

// --- the key

function closed() {
  say($("refused"), key ? "That key opens nothing here." : "");
  leave();
  $("door").hidden = false;
  $("inside").hidden = true;
  say($("standing"), "A key is needed.");
}

function leave() {
  key = "";
  sessionStorage.removeItem(KEY);
  clearTimeout(polling);
  following.abort();
  [told, chosen, asked, answer] = [null, "", null, null];
  for (const id of ["bars", "offsets", "views", "catalogue", "by", "measures", "view", "chart"]) $(id).replaceChildren();
  $("result").hidden = true;
}

$("door").addEventListener("submit", (event) => {
  event.preventDefault();
  key = $("key").value.trim();
  sessionStorage.setItem(KEY, key);
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
    $("forget").hidden = !key;
    standing(status);
    await facts(status);
  } catch (error) {
    if (error.status === 401) return;
    say($("standing"), `The server does not answer: ${error.message}`);
  }
  clearTimeout(polling);
  polling = setTimeout(poll, EVERY);
}

function ago(seconds) {
  const [n, unit] = seconds < 90 ? [seconds, "s"] : seconds < 5400 ? [seconds / 60, "min"]
    : seconds < 172800 ? [seconds / 3600, "h"] : [seconds / 86400, "days"];
  return `${Math.max(0, Math.round(n))} ${unit} ago`;
}

function standing({ now, problems, views }) {
  const sources = new Map(views.filter((view) => view.source).map((view) => [view.source, view.proved]));
  const lines = problems.map((p) => make("p", { className: "bad" }, p.what.includes(p.of) ? p.what : `${p.of}: ${p.what}`,
    make("code", {}, p.next)));
  for (const [source, proved] of problems.length ? [] : sources) {
    const of = sources.size > 1 ? `${source}: ` : "";
    const sample = proved && proved.sample < 1 ? `, ${+(proved.sample * 100).toPrecision(2)} % of the groups` : "";
    lines.push(proved
      ? make("p", {}, `${of}${proved.lost} lost, ${proved.doubled} doubled: proved ${ago(now - proved.at)} at seq ${proved.seq}${sample}`)
      : make("p", {}, `${of}Not proved yet`, make("code", {}, `dovetail prove ${source}`)));
  }
  if (!lines.length) lines.push(make("p", {}, "There is no view yet", make("code", {}, "dovetail dev")));
  // Told aloud only when it changes.
  if ($("standing").textContent !== lines.map((line) => line.textContent).join("")) $("standing").replaceChildren(...lines);
}

async function facts({ now, views }) {
  const names = views.map((view) => view.view);
  if ([...$("view").options].map((o) => o.value).join("\n") !== names.join("\n")) {
    $("view").replaceChildren(...names.map((name) => make("option", { value: name }, name)));
    $("view").value = chosen;
  }
  $("views").replaceChildren(...views.map((view) => card(view, now)));
  if (!names.includes(chosen)) await choose(names);
  const own = views.find((view) => view.view === chosen);
  if (own) joint(own);
  if (own && told && own.version && own.version !== told.version) await describe(chosen);
}

function card(view, now) {
  const behind = view.behind?.records ?? null;
  const known = {
    version: view.version?.split("@")[1], seq: view.seq, quarantined: view.quarantined, failed: view.failed,
    "newest run": view.run_at ? ago(now - view.run_at) : "none yet",
    behind: behind === null ? "not known: the log's end is not seen" : `${behind} records, ${view.behind.seconds} s`,
    gaps: view.gaps?.length ? view.gaps.map((gap) => `${gap.records} records at seq ${gap.seq}: ${gap.why}`).join("; ") : "none",
  };
  const told = Object.entries(known).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, shown(value))]);
  return make("article", {}, make("h3", {}, view.view), make("p", {}, view.standing), make("dl", {}, ...told));
}

function joint(view) {
  const [origin, cut, position] = [view.origin || {}, view.cut || {}, view.position || {}];
  const end = view.end || {};
  const partitions = [...new Set([position, end].flatMap(Object.keys))].sort((a, b) => a - b);
  if ($("bars").dataset.of !== `${chosen} ${partitions}`) {
    $("bars").dataset.of = `${chosen} ${partitions}`;
    $("bars").replaceChildren(...partitions.map(() => make("div", { className: "partition" }, make("b"),
      make("div", { className: "bar" }, ...["batch", "cut", "speed", "unread"].map((c) => make("i", { className: c }))),
      make("small"))));
  }
  partitions.forEach((p, i) => {
    const [name, bar, words] = $("bars").children[i].children;
    const at = [origin[p] || 0, cut[p] || 0, position[p] || 0];
    const [batch, speed, unread] = [at[1] - at[0], at[2] - at[1], Math.max(0, (end[p] ?? at[2]) - at[2])];
    [batch, null, speed, unread].forEach((n, j) => {
      if (n === null) return;
      bar.children[j].style.flexGrow = n;
      bar.children[j].classList.toggle("some", n > 0);
    });
    say(name, p);
    say(words, `cut ${at[1]}, speed to ${at[2]}, ${view.end ? `${unread} not read yet` : "end of the log not known"}`);
  });
  $("offsets").replaceChildren(...partitions.map((p) => make("tr", {}, make("th", { scope: "row" }, p),
    ...[origin, cut, position].map((of) => make("td", {}, text(of[p] ?? 0))), make("td", {}, text(end[p] ?? "not known")))));
}

// --- the question

const boxes = (id) => [...$(id).querySelectorAll("input")];
const ticked = (id) => boxes(id).filter((box) => box.checked).map((box) => box.value);

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
  const kept = { by: ticked("by"), measures: ticked("measures") };
  const columns = Object.values(told.dimensions).flatMap((d) => Object.keys(d.columns));
  const plain = (d, column) => columns.filter((c) => c === column).length > 1 || column in told.keys ? `${d}.${column}` : column;
  const dimensions = Object.entries(told.dimensions).flatMap(([d, { columns: of }]) => Object.keys(of).map((c) => plain(d, c)));
  const measures = Object.keys(told.measures).flatMap((m) => [m, ...(told.parts[m] || []).map((part) => `${m}.${part}`)]);
  for (const [id, names] of Object.entries({ by: [...Object.keys(told.keys), ...dimensions], measures })) {
    $(id).replaceChildren(...names.map((value) => make("label", {},
      make("input", { type: "checkbox", value, checked: kept[id].includes(value) }), value)));
  }
  for (const id of ["bucket", "start", "end"]) $(id).disabled = !told.bucket;
  catalogue();
  return true;
}

function fill(question) {
  for (const id of ["by", "measures"]) {
    const names = (question.get(id) || "").split(",");
    for (const box of boxes(id)) box.checked = names.includes(box.value);
  }
  for (const id of FIELDS) $(id).value = question.get(id) || (id === "limit" ? "20" : "");
  const where = [...question].filter(([name]) => name.startsWith("where."));
  $("where").value = where.map(([name, value]) => `${name.slice(6)}=${value}`).join("\n");
  return written();
}

function written() {
  const question = new URLSearchParams();
  for (const id of ["by", "measures"]) if (ticked(id).length) question.set(id, ticked(id).join(","));
  for (const id of FIELDS) if ($(id).value.trim() && !$(id).disabled) question.set(id, $(id).value.trim());
  for (const line of $("where").value.split("\n").filter((l) => l.trim())) {
    const [name, ...value] = line.split("=");
    question.append(`where.${name.trim()}`, value.join("=").trim());
  }
  return question;
}

function ask(question) {
  following.abort();
  following = new AbortController();
  const { signal } = following;
  asked = question;
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
addEventListener("resize", () => { if (answer) chart(); });
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
  const names = Object.keys(found.rows[0] || {}).filter((name) => told.measures[name.split(".")[0]]);
  const numbers = names.filter((name) => found.rows.every((row) => isNumber(row[name])));
  const before = $("shown").value;
  if ([...$("shown").options].map((o) => o.value).join("\n") !== numbers.join("\n")) {
    $("shown").replaceChildren(...numbers.map((name) => make("option", { value: name }, name)));
    if (numbers.includes(before)) $("shown").value = before;
  }
  $("shown").parentElement.hidden = !numbers.length;
  chart();
  table(found.rows);
  say($("receipt"), told_by(found.receipt));
}

const isNumber = (value) => value === null || (["number", "string"].includes(typeof value) && value !== "" && Number.isFinite(+value));

function grouped(value) {
  const [whole, ...rest] = text(value).split(".");
  return [whole.replace(/\B(?=(\d{3})+$)/g, ","), ...rest].join(".");
}

function table(rows) {
  const [head, body] = $("rows").children;
  const names = Object.keys(rows[0] || {});
  const number = (name) => told.measures[name.split(".")[0]] && rows.every((row) => isNumber(row[name]));
  const kinds = names.map((name) => (number(name) ? "number" : ""));
  head.replaceChildren(make("tr", {}, ...names.map((name, i) => make("th", { scope: "col", className: kinds[i] }, name))));
  const cell = (value, kind) => make("td", { className: kind }, kind && value !== null ? grouped(value) : shown(value));
  body.replaceChildren(...rows.slice(0, ROWS).map((row) => make("tr", {}, ...names.map((name, i) => cell(row[name], kinds[i])))));
  if (!rows.length) body.replaceChildren(make("tr", {}, make("td", {}, "No rows.")));
  if (rows.length > ROWS) body.append(make("tr", {}, make("td", { colSpan: names.length }, `and ${rows.length - ROWS} more, not shown here`)));
}

function told_by(receipt) {
  const runs = receipt.runs.filter((run) => run !== "origin").length;
  const cut = Object.values(receipt.cut).join("·");
  return [
    `${runs ? `${runs} batch run${runs > 1 ? "s" : ""} below cut ${cut}, speed above it` : "all from speed"} up to seq ${receipt.seq}`,
    receipt.behind.seconds === null ? "how far behind is not known" : `${receipt.behind.seconds} s behind`,
    `${receipt.quarantined} quarantined`,
    ...(receipt.failed ? [`${receipt.failed} failed`] : []),
    ...(receipt.complete ? [] : ["records that are gone are missing"]),
    ...(receipt.approximate.length ? [`approximate: ${receipt.approximate.join(", ")}`] : []),
    ...(receipt.more ? ["the limit cut rows off"] : []),
    `receipt ${receipt.id}`,
  ].join("; ");
}

// --- the chart

function chart() {
  const measure = $("shown").value, rows = answer.rows;
  const width = Math.max(240, $("chart").clientWidth);
  const by = Object.keys(rows[0] || {}).filter((name) => name !== "bucket" && !told.measures[name.split(".")[0]]);
  const label = (row) => by.map((name) => text(row[name])).join(" · ") || "all";
  if (!measure || !rows.length) $("chart").replaceChildren();
  else if ("bucket" in rows[0] && told.bucket) $("chart").replaceChildren(...lines(rows, measure, label, width));
  else $("chart").replaceChildren(...bars(rows, measure, label, width));
}

const picture = (width, height, title, ...parts) =>
  drawn("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": title }, ...parts);
const short = (words, room) => (words.length > room ? `${words.slice(0, Math.max(1, room - 1))}…` : words);

function bars(rows, measure, label, width) {
  const some = rows.slice(0, BARS), values = some.map((row) => +row[measure]);
  const low = Math.min(0, ...values), high = Math.max(0, ...values), left = Math.round(width * 0.3);
  const room = Math.max(...some.map((row) => grouped(row[measure]).length)) * 8 + 8;
  const x = (value) => left + ((value - low) / (high - low || 1)) * Math.max(20, width - left - room);
  const parts = some.flatMap((row, i) => [
    drawn("text", { x: left - 8, y: i * 26 + 18, "text-anchor": "end" }, short(label(row), Math.floor(left / 8))),
    drawn("rect", { class: "of-bar", x: x(Math.min(0, values[i])), y: i * 26 + 3, height: 20, width: Math.abs(x(values[i]) - x(0)) }),
    drawn("text", { x: x(Math.max(0, values[i])) + 6, y: i * 26 + 18 }, row[measure] === null ? "null" : grouped(row[measure])),
  ]);
  const title = `${measure} in bars; the table below holds the same`;
  return [picture(width, some.length * 26 + 4, title, ...parts),
    ...(rows.length > BARS ? [make("small", {}, `The first ${BARS} of ${rows.length} rows.`)] : [])];
}

function lines(rows, measure, label, width) {
  const groups = new Map();
  for (const row of rows.filter((r) => r.bucket !== null && r[measure] !== null)) {
    groups.set(label(row), [...(groups.get(label(row)) || []), [Date.parse(row.bucket), +row[measure]]]);
  }
  const some = [...groups].slice(0, LINES), points = some.flatMap(([, of]) => of);
  if (!points.length) return [];
  const [times, values] = [points.map((p) => p[0]), points.map((p) => p[1])];
  const [from, to, low, high] = [Math.min(...times), Math.max(...times), Math.min(0, ...values), Math.max(0, ...values)];
  const height = 240, left = Math.max(grouped(low).length, grouped(high).length) * 8 + 8;
  const x = (time) => left + ((time - from) / (to - from || 1)) * (width - left - 8);
  const y = (value) => 10 + ((high - value) / (high - low || 1)) * (height - 40);
  const axis = (value) => [drawn("line", { class: "axis", x1: left, x2: width, y1: y(value), y2: y(value) }),
    drawn("text", { x: left - 6, y: y(value) + 5, "text-anchor": "end" }, grouped(value))];
  const day = (time) => new Date(time).toISOString().slice(0, width > 420 ? 16 : 10).replace("T", " ");
  const curves = some.flatMap(([, of], i) => {
    const at = of.sort((a, b) => a[0] - b[0]).map(([time, value]) => [x(time), y(value)]);
    return [drawn("path", { class: `s${i}`, "stroke-dasharray": ["none", "7 3", "2 3", "9 3 2 3", "4 4", "12 4"][i], d: `M${at.join("L")}` }),
      ...(at.length > 80 ? [] : at.map(([cx, cy]) => drawn("circle", { class: `s${i}`, cx, cy, r: 2.5 })))];
  });
  const ends = [drawn("text", { x: left, y: height - 6 }, day(from)),
    ...(to > from ? [drawn("text", { x: width - 4, y: height - 6, "text-anchor": "end" }, day(to))] : [])];
  const scale = [...new Set([low, 0, high])].flatMap(axis);
  return [picture(width, height, `${measure} over time; the table below holds the same`, ...scale, ...curves, ...ends),
    make("ul", {}, ...some.map(([name], i) => make("li", { className: `s${i}` }, name))),
    ...(groups.size > LINES ? [make("small", {}, `The first ${LINES} of ${groups.size} groups.`)] : [])];
}

// --- the question in other words

const list = (value) => value.split(",").map((part) => part.trim()).filter(Boolean);

// Conditions by key and operator; null stands for itself.
function conditions(question) {
  const found = {};
  for (const [name, value] of [...question].filter(([n]) => n.startsWith("where."))) {
    const isNull = name.endsWith(".null"), of = name.slice(6, isNull ? -5 : undefined), dot = of.lastIndexOf(".");
    const named = dot > 0 && of.slice(dot + 1) in OPERATORS;
    const [column, operator] = named ? [of.slice(0, dot), of.slice(dot + 1)] : [of, "in"];
    const values = isNull ? [null] : value.match(/(?:\\.|[^,\\])+/gs)?.map((part) => part.replace(/\\(.)/gs, "$1")) || [""];
    ((found[column] ||= {})[operator] ||= []).push(...values);
  }
  return found;
}

function curl(url) {
  const quoted = (words) => `'${words.replaceAll("'", "'\\''")}'`;
  const header = key ? ' \\\n  -H "Authorization: Bearer $DOVETAIL_KEY"' : "";
  return `curl --get ${quoted(url + path(chosen, "/query"))}${header}`
    + [...asked].map(([name, value]) => ` \\\n  --data-urlencode ${quoted(`${name}=${value}`)}`).join("");
}

function python(url) {
  const quoted = (value) => (value === null ? "None" : JSON.stringify(value));
  const listed = (values) => `[${values.map(quoted).join(", ")}]`;
  const where = Object.entries(conditions(asked)).map(([column, by]) =>
    `${quoted(column)}: {${Object.entries(by).map(([o, values]) => `${quoted(o)}: ${listed(values)}`).join(", ")}}`);
  const fields = [...asked].filter(([name]) => !name.startsWith("where.")).map(([name, value]) =>
    `${name}=${["by", "measures", "order_by"].includes(name) ? listed(list(value)) : name === "limit" ? value : quoted(value)}`);
  if (where.length) fields.push(`where={${where.join(", ")}}`);
  const opened = key ? ', key=os.environ["DOVETAIL_KEY"]' : "";
  return `${key ? "import os\n\n" : ""}import dovetail\n\nclient = dovetail.connect(${quoted(url.replace(/\/$/, ""))}${opened})\n`
    + `answer = client.query(\n${[quoted(chosen), ...fields].map((field) => `    ${field},\n`).join("")})`;
}

function sql() {
  const name = (of) => of.split(".").map((part) => (/^[a-z_][a-z0-9_]*$/.test(part) ? part : `"${part.replaceAll('"', '""')}"`)).join(".");
  const types = Object.assign({}, told.keys, ...Object.values(told.dimensions).map((d) => d.columns));
  const value = (column, v) => (/int|decimal|double|float|boolean/.test(types[column]) ? v : `'${v.replaceAll("'", "''")}'`);
  const by = list(asked.get("by") || ""), bucket = asked.get("bucket");
  const measures = asked.has("measures") ? list(asked.get("measures")) : Object.keys(told.measures);
  const select = [...by.map(name), ...(bucket ? [`TIME_BUCKET('${bucket}', bucket) AS time`] : []),
    ...measures.map((m) => `MEASURE(${name(m)}) AS ${name(m.replace(".", "_"))}`)];
  const where = Object.entries(conditions(asked)).flatMap(([column, ops]) => Object.entries(ops).map(([o, values]) => {
    const some = values.filter((v) => v !== null).map((v) => value(column, v)), isNull = values.includes(null);
    if (o === "prefix") return `${name(column)} LIKE ${some[0].replace(/'$/, "%'")}`;
    if (o !== "in" && o !== "not") return `${name(column)} ${OPERATORS[o]} ${some[0]}`;
    const within = some.length ? `${name(column)} ${o === "not" ? "NOT " : ""}IN (${some.join(", ")})` : "";
    const nulls = `${name(column)} IS ${o === "not" && isNull ? "NOT " : ""}NULL`;
    if (o === "in") return isNull ? (within ? `(${within} OR ${nulls})` : nulls) : within;
    return isNull ? [within, nulls].filter(Boolean).join(" AND ") : `(${within} OR ${nulls})`;
  }));
  for (const [id, sign] of [["start", ">="], ["end", "<"]]) if (asked.get(id)) where.push(`bucket ${sign} '${asked.get(id)}'`);
  const group = [...by.map(name), ...(bucket ? ["time"] : [])];
  const order = list(asked.get("order_by") || "").map((of) => {
    const column = of.replace(/^-/, "");
    return (column === "bucket" ? "time" : name(column in told.keys ? column : column.replace(".", "_"))) + (of[0] === "-" ? " DESC" : "");
  });
  return [`SELECT ${select.join(", ")}`, `FROM ${name(chosen)}`, where.length && `WHERE ${where.join(" AND ")}`,
    group.length && `GROUP BY ${group.join(", ")}`, order.length && `ORDER BY ${order.join(", ")}`,
    asked.get("limit") && `LIMIT ${asked.get("limit")}`].filter(Boolean).join("\n");
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const url = new URL(".", document.baseURI).href.replace(/#.*/, "");
    const words = { curl, python, sql }[button.dataset.copy](url);
    $("copy").hidden = false;
    $("copy").textContent = words;
    // A page that did not come over https, or from this machine, has no clipboard.
    const copied = await navigator.clipboard?.writeText(words).then(() => true, () => false);
    say($("copied"), copied ? "Copied." : "Select it below.");
  });
}

// --- the catalogue

function catalogue() {
  const masked = (name) => (told.masked[name] ? `masked: ${told.masked[name]}` : "");
  const rows = [
    ...Object.entries(told.keys).map(([name, type]) => [name, "key", type, masked(name)]),
    ...(told.bucket ? [["bucket", "time", told.bucket, "as stored"]] : []),
    ...Object.entries(told.measures).map(([name, type]) => [name, "measure", type,
      [told.accuracy[name] && `approximate: ${text(told.accuracy[name])}`, told.parts[name] && `parts: ${told.parts[name].join(", ")}`,
        masked(name)].filter(Boolean).join("; ")]),
    ...Object.entries(told.dimensions).flatMap(([of, d]) => Object.entries(d.columns).map(([name, type]) => [name, `of ${of}`, type,
      [`by ${d.key}, version ${d.version}`, d.problem, masked(name) || masked(`${of}.${name}`)].filter(Boolean).join("; ")])),
  ];
  $("catalogue").replaceChildren(...rows.map(([name, ...more]) =>
    make("tr", {}, make("th", { scope: "row" }, name), ...more.map((words) => make("td", {}, text(words))))));
}

poll();
