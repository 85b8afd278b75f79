// The form of a question: what it offers of a view, and the question in it as parameters.

import { $, make } from "./elements.js";

const FIELDS = ["bucket", "window", "tz", "start", "end", "order_by", "limit"];
const TIMED = ["bucket", "window", "tz", "start", "end"];
const CONDITIONS = ["where", "having"];
export const OPERATORS = { not: "<>", lt: "<", lte: "<=", gt: ">", gte: ">=", prefix: "LIKE" };

const boxes = (id) => [...$(id).querySelectorAll("input")];
const ticked = (id) => boxes(id).filter((box) => box.checked).map((box) => box.value);
export const list = (value) => value.split(",").map((part) => part.trim()).filter(Boolean);

$("zones").append(...(Intl.supportedValuesOf?.("timeZone") ?? []).map((value) => make("option", { value })));

// Offers the keys, measures and times of a view; what is ticked stays so.
export function offer(told) {
  const kept = { by: ticked("by"), measures: ticked("measures") };
  const columns = Object.values(told.dimensions).flatMap((d) => Object.keys(d.columns));
  const plain = (d, column) => columns.filter((c) => c === column).length > 1 || column in told.keys ? `${d}.${column}` : column;
  const dimensions = Object.entries(told.dimensions).flatMap(([d, { columns: of }]) => Object.keys(of).map((c) => plain(d, c)));
  const measures = Object.keys(told.measures).flatMap((m) => [m, ...(told.parts[m] || []).map((part) => `${m}.${part}`)]);
  for (const [id, names] of Object.entries({ by: [...Object.keys(told.keys), ...dimensions], measures })) {
    $(id).replaceChildren(...names.map((value) => make("label", {},
      make("input", { type: "checkbox", value, checked: kept[id].includes(value) }), value)));
  }
  for (const id of TIMED) $(id).disabled = !told.bucket;
}

export function fill(question) {
  for (const id of ["by", "measures"]) {
    const names = (question.get(id) || "").split(",");
    for (const box of boxes(id)) box.checked = names.includes(box.value);
  }
  for (const id of FIELDS) $(id).value = question.get(id) || (id === "limit" ? "20" : "");
  for (const id of CONDITIONS) {
    const some = [...question].filter(([name]) => name.startsWith(`${id}.`));
    $(id).value = some.map(([name, value]) => `${name.slice(id.length + 1)}=${value}`).join("\n");
  }
  return written();
}

export function written() {
  const question = new URLSearchParams();
  for (const id of ["by", "measures"]) if (ticked(id).length) question.set(id, ticked(id).join(","));
  for (const id of FIELDS) if ($(id).value.trim() && !$(id).disabled) question.set(id, $(id).value.trim());
  for (const id of CONDITIONS) {
    for (const line of $(id).value.split("\n").filter((l) => l.trim())) {
      const [name, ...value] = line.split("=");
      question.append(`${id}.${name.trim()}`, value.join("=").trim());
    }
  }
  return question;
}

// Conditions of a kind by name and operator; null stands for itself.
export function conditions(question, kind = "where") {
  const found = {};
  for (const [name, value] of [...question].filter(([n]) => n.startsWith(`${kind}.`))) {
    const isNull = name.endsWith(".null"), of = name.slice(kind.length + 1, isNull ? -5 : undefined), dot = of.lastIndexOf(".");
    const named = dot > 0 && of.slice(dot + 1) in OPERATORS;
    const [column, operator] = named ? [of.slice(0, dot), of.slice(dot + 1)] : [of, "in"];
    const values = isNull ? [null] : value.match(/(?:\\.|[^,\\])+/gs)?.map((part) => part.replace(/\\(.)/gs, "$1")) || [""];
    ((found[column] ||= {})[operator] ||= []).push(...values);
  }
  return found;
}
