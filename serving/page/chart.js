// Draws a measure of an answer: bars, or columns and lines over time; stacked from batch and speed where both are known.

import { drawn, grouped, make, text } from "./elements.js";

const BARS = 20, LINES = 6, HEIGHT = 240;
const DASHES = ["none", "7 3", "2 3", "9 3 2 3", "4 4", "12 4"];
const short = (words, room) => (words.length > room ? `${words.slice(0, Math.max(1, room - 1))}…` : words);
const picture = (width, height, title, ...parts) =>
  drawn("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": title }, ...parts);

// Which way rows are drawn, and which of them: columns of one group over time, lines of several, bars of anything else.
export function drawing(rows, by, as) {
  const label = (row) => by.map((name) => text(row[name])).join(" · ");
  const timed = rows.filter((row) => "bucket" in row && row.bucket !== null);
  const groups = new Set(timed.map(label)).size;
  const choice = groups > 1;
  if (groups === 1 && timed.length === rows.length) return { form: "columns", some: rows, label, choice };
  if (choice && as !== "bars") return { form: "lines", some: timed, label, choice };
  const named = (row) => [label(row), ...("bucket" in row ? [text(row.bucket).replace(/:00Z$/, "").replace("T", " ")] : [])].filter(Boolean).join(" · ") || "all";
  return { form: "bars", some: rows.slice(0, BARS), label: named, choice };
}

// `partsOf` gives what batch and speed hold of a row; null where that is not known, for a bar of one piece.
export function chart({ form, some, label }, measure, rows, partsOf, width) {
  if (form === "lines") return lines(some, measure, label, width);
  const stacked = partsOf !== null;
  const title = `${measure} in ${form}${stacked ? ", stacked from batch and speed" : ""}; the table below holds the same`;
  const pieces = (row) => (stacked ? partsOf(row) : [row[measure] ?? 0]).map(Number);
  const found = (form === "columns" ? columns : bars)(some, measure, label, width, pieces, title);
  const left = rows.length - some.length;
  return [...found, ...(left > 0 ? [make("small", {}, `The first ${some.length} of ${rows.length} rows.`)] : [])];
}

// The ends of the pieces that stand on one another, from 0 on.
const ends = (pieces) => pieces.reduce((at, piece) => [...at, at.at(-1) + piece], [0]);
const kind = (pieces, i) => (pieces.length > 1 ? ["batch", "speed"][i] : "of-bar");

function bars(rows, measure, label, width, pieces, title) {
  const values = rows.map((row) => +row[measure]);
  const low = Math.min(0, ...values), high = Math.max(0, ...values), left = Math.round(width * 0.3);
  const room = Math.max(...rows.map((row) => grouped(row[measure]).length)) * 8 + 8;
  const x = (value) => left + ((value - low) / (high - low || 1)) * Math.max(20, width - left - room);
  const parts = rows.flatMap((row, i) => {
    const own = pieces(row), at = ends(own);
    return [
      drawn("text", { x: left - 8, y: i * 26 + 18, "text-anchor": "end" }, short(label(row), Math.floor(left / 8))),
      ...own.map((piece, j) => (own.length > 1 && !piece ? "" : drawn("rect", { class: kind(own, j), y: i * 26 + 3, height: 20,
        x: Math.min(x(at[j]), x(at[j + 1])), width: Math.abs(x(at[j + 1]) - x(at[j])) }))),
      drawn("text", { x: x(Math.max(0, values[i])) + 6, y: i * 26 + 18 }, row[measure] === null ? "null" : grouped(row[measure])),
    ];
  });
  return [picture(width, rows.length * 26 + 4, title, ...parts)];
}

function columns(rows, measure, label, width, pieces, title) {
  const times = rows.map((row) => Date.parse(row.bucket)), sorted = [...new Set(times)].sort((a, b) => a - b);
  const gap = sorted.slice(1).reduce((least, time, i) => Math.min(least, time - sorted[i]), Infinity);
  const step = Number.isFinite(gap) ? gap : 1;
  const { x, y, left, frame } = scales(sorted[0], sorted.at(-1) + step, rows.map((row) => +row[measure]), width, sorted.at(-1));
  const wide = x(sorted[0] + step) - x(sorted[0]);
  const parts = rows.flatMap((row, i) => {
    const own = pieces(row), at = ends(own);
    return own.map((piece, j) => (!piece ? "" : drawn("rect", { class: kind(own, j), x: Math.max(left, x(times[i]) + Math.min(1, wide * 0.1)),
      width: Math.max(0.5, Math.min(60, wide - Math.min(2, wide * 0.2))), y: Math.min(y(at[j]), y(at[j + 1])), height: Math.abs(y(at[j + 1]) - y(at[j])) })));
  });
  return [picture(width, HEIGHT, title, ...frame, ...parts)];
}

function lines(rows, measure, label, width) {
  const groups = new Map();
  for (const row of rows.filter((r) => r[measure] !== null)) {
    groups.set(label(row), [...(groups.get(label(row)) || []), [Date.parse(row.bucket), +row[measure]]]);
  }
  const some = [...groups].slice(0, LINES), points = some.flatMap(([, of]) => of);
  if (!points.length) return [];
  const times = points.map((p) => p[0]), to = Math.max(...times);
  const { x, y, frame } = scales(Math.min(...times), to, points.map((p) => p[1]), width, to);
  const curves = some.flatMap(([, of], i) => {
    const at = of.sort((a, b) => a[0] - b[0]).map(([time, value]) => [x(time), y(value)]);
    return [drawn("path", { class: `s${i}`, "stroke-dasharray": DASHES[i], d: `M${at.join("L")}` }),
      ...(at.length > 80 ? [] : at.map(([cx, cy]) => drawn("circle", { class: `s${i}`, cx, cy, r: 2.5 })))];
  });
  return [picture(width, HEIGHT, `${measure} over time; the table below holds the same`, ...frame, ...curves),
    make("ul", {}, ...some.map(([name], i) => make("li", { className: `s${i}` }, name))),
    ...(groups.size > LINES ? [make("small", {}, `The first ${LINES} of ${groups.size} groups.`)] : [])];
}

// Where a time and a value lie, and the axes with their words; `last` is the time that the right end is called by.
function scales(from, to, values, width, last) {
  const low = Math.min(0, ...values), high = Math.max(0, ...values);
  const left = Math.max(grouped(low).length, grouped(high).length) * 8 + 8;
  const x = (time) => left + ((time - from) / (to - from || 1)) * (width - left - 8);
  const y = (value) => 10 + ((high - value) / (high - low || 1)) * (HEIGHT - 40);
  const axis = (value) => [drawn("line", { class: "axis", x1: left, x2: width, y1: y(value), y2: y(value) }),
    drawn("text", { x: left - 6, y: y(value) + 5, "text-anchor": "end" }, grouped(value))];
  const day = (time) => new Date(time).toISOString().slice(0, width > 420 ? 16 : 10).replace("T", " ");
  const words = [drawn("text", { x: left, y: HEIGHT - 6 }, day(from)),
    ...(last > from ? [drawn("text", { x: width - 4, y: HEIGHT - 6, "text-anchor": "end" }, day(last))] : [])];
  return { x, y, left, frame: [...[...new Set([low, 0, high])].flatMap(axis), ...words] };
}
