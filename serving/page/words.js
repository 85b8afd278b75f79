// A question in other words: as curl, Python and SQL, and the command that lists the records behind a number.

import { text } from "./elements.js";
import { conditions, list, OPERATORS } from "./question.js";
import { hasKey, path } from "./server.js";

const SECONDS = { s: 1, m: 60, min: 60, h: 3600, d: 86400, w: 604800, mo: 31 * 86400, q: 92 * 86400, y: 366 * 86400 };
const quoted = (words) => (/^[\w@%+=:,./-]+$/.test(words) ? words : `'${words.replaceAll("'", "'\\''")}'`);

export function curl(view, asked, url) {
  const always = (words) => `'${words.replaceAll("'", "'\\''")}'`;
  const header = hasKey() ? ' \\\n  -H "Authorization: Bearer $DOVETAIL_KEY"' : "";
  return `curl --get ${always(url + path(view, "/query"))}${header}`
    + [...asked].map(([name, value]) => ` \\\n  --data-urlencode ${always(`${name}=${value}`)}`).join("");
}

export function python(view, asked, url) {
  const own = (value) => (value === null ? "None" : JSON.stringify(value));
  const listed = (values) => `[${values.map(own).join(", ")}]`;
  const fields = [...asked].filter(([name]) => !name.includes(".")).map(([name, value]) =>
    `${name}=${["by", "measures", "order_by"].includes(name) ? listed(list(value)) : name === "limit" ? value : own(value)}`);
  for (const kind of ["where", "having"]) {
    const some = Object.entries(conditions(asked, kind)).map(([column, by]) =>
      `${own(column)}: {${Object.entries(by).map(([o, values]) => `${own(o)}: ${listed(values)}`).join(", ")}}`);
    if (some.length) fields.push(`${kind}={${some.join(", ")}}`);
  }
  const opened = hasKey() ? ', key=os.environ["DOVETAIL_KEY"]' : "";
  return `${hasKey() ? "import os\n\n" : ""}import dovetail\n\nclient = dovetail.connect(${own(url.replace(/\/$/, ""))}${opened})\n`
    + `answer = client.query(\n${[own(view), ...fields].map((field) => `    ${field},\n`).join("")})`;
}

export function sql(view, asked, told) {
  if (asked.has("window")) return "-- SQL has no window over time: ask this as curl or Python";
  const name = (of) => of.split(".").map((part) => (/^[a-z_][a-z0-9_]*$/.test(part) ? part : `"${part.replaceAll('"', '""')}"`)).join(".");
  const types = Object.assign({}, told.keys, told.measures, ...Object.values(told.dimensions).map((d) => d.columns));
  const value = (column, v) => (/int|decimal|double|float|boolean/.test(types[column]) ? v : `'${v.replaceAll("'", "''")}'`);
  const tests = (kind, as) => Object.entries(conditions(asked, kind)).flatMap(([column, ops]) => Object.entries(ops).map(([o, values]) => {
    const some = values.filter((v) => v !== null).map((v) => value(column, v)), isNull = values.includes(null);
    if (o === "prefix") return `${as(column)} LIKE ${some[0].replace(/'$/, "%'")}`;
    if (o !== "in" && o !== "not") return `${as(column)} ${OPERATORS[o]} ${some[0]}`;
    const within = some.length ? `${as(column)} ${o === "not" ? "NOT " : ""}IN (${some.join(", ")})` : "";
    const nulls = `${as(column)} IS ${o === "not" && isNull ? "NOT " : ""}NULL`;
    if (o === "in") return isNull ? (within ? `(${within} OR ${nulls})` : nulls) : within;
    return isNull ? [within, nulls].filter(Boolean).join(" AND ") : `(${within} OR ${nulls})`;
  }));
  const by = list(asked.get("by") || ""), bucket = asked.get("bucket"), tz = asked.get("tz");
  const measures = asked.has("measures") ? list(asked.get("measures")) : Object.keys(told.measures);
  const select = [...by.map(name), ...(bucket ? [`TIME_BUCKET('${bucket}', bucket${tz ? `, '${tz}'` : ""}) AS time`] : []),
    ...measures.map((m) => `MEASURE(${name(m)}) AS ${name(m.replace(".", "_"))}`)];
  const where = tests("where", name), having = tests("having", (measure) => `MEASURE(${name(measure)})`);
  for (const [id, sign] of [["start", ">="], ["end", "<"]]) if (asked.get(id)) where.push(`bucket ${sign} '${asked.get(id)}'`);
  const group = [...by.map(name), ...(bucket ? ["time"] : [])];
  const order = list(asked.get("order_by") || "").map((of) => {
    const column = of.replace(/^-/, "");
    return (column === "bucket" ? "time" : name(column in told.keys ? column : column.replace(".", "_"))) + (of[0] === "-" ? " DESC" : "");
  });
  return [`SELECT ${select.join(", ")}`, `FROM ${name(view)}`, where.length && `WHERE ${where.join(" AND ")}`,
    group.length && `GROUP BY ${group.join(", ")}`, having.length && `HAVING ${having.join(" AND ")}`,
    order.length && `ORDER BY ${order.join(", ")}`, asked.get("limit") && `LIMIT ${asked.get("limit")}`].filter(Boolean).join("\n");
}

// The command that lists the records behind a row; nothing where the row is not a group of the view's own keys as they are
// stored, or of other records than the group's.
export function why(view, asked, told, row) {
  const named = conditions(asked), timed = ["start", "end"].filter((id) => asked.get(id));
  for (const column of list(asked.get("by") || "")) named[column] = { in: [row[column]] };
  const own = Object.entries(named).every(([column, by]) =>
    column in told.keys && !told.masked[column] && Object.keys(by).join() === "in");
  if (!own || asked.has("window") || (asked.has("tz") && (row.bucket || timed.length)) || row.bucket === null) return "";
  if (row.bucket && !whole(asked, row)) return "";
  const matches = Object.entries(named).flatMap(([column, { in: values }]) => {
    const some = values.filter((v) => v !== null).map((v) => text(v).replace(/[\\,]/g, "\\$&"));
    return [...(some.length ? [`${column}=${some.join(",")}`] : []), ...(values.includes(null) ? [`${column}.null=true`] : [])];
  });
  const time = row.bucket ? ["--start", row.bucket, "--bucket", asked.get("bucket")] : timed.flatMap((id) => [`--${id}`, asked.get(id)]);
  return ["dovetail why", ...[view, ...matches, ...time].map(quoted)].join(" ");
}

// Whether start and end leave a row's bucket whole: the longest that it may be, where that differs.
function whole(asked, row) {
  const at = (id) => { const given = asked.get(id) || ""; return Date.parse(/T.*(Z|[+-]\d\d:?\d\d)$/.test(given) || !given.includes("T") ? given : `${given}Z`); };
  const [, n, unit] = /^(\d+)\s*([a-z]+)$/.exec(asked.get("bucket")) || [];
  const begins = Date.parse(row.bucket);
  return !(at("start") > begins) && !(at("end") < begins + n * SECONDS[unit] * 1000);
}
