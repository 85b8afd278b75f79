// What each layer alone holds of the rows of an answer, asked for so that the two add up to what is shown.

import { text } from "./elements.js";
import { conditions, list } from "./question.js";
import { call, path, read, wait } from "./server.js";

const MOST = 10000, TRIES = 4, AGAIN = 150;
const AS_THEY_ARE = ["bucket", "window", "start", "end", "tz"];

export const groupOf = (asked, row) =>
  JSON.stringify([...list(asked.get("by") || "").map((name) => row[name]), row.bucket ?? null]);

// A map from each row's group to what batch and speed hold of it, and the receipt of both; null where there is none.
export async function layered(view, asked, told, measure, rows, signal) {
  for (let i = 0; i < TRIES; i++) {
    if (i) await wait(AGAIN);
    const [batch, speed] = await Promise.all(["batch", "speed"].map(async (layer) =>
      read(await call(path(view, "/query"), { signal, body: { ...about(asked, rows, measure), layer } }))));
    if (batch.receipt.more || speed.receipt.more) return null;
    if (moment(batch) !== moment(speed)) continue; // a commit, or a batch, came between
    const of = (answer) => new Map(answer.rows.map((row) => [groupOf(asked, row), row[measure]]));
    const [below, above] = [of(batch), of(speed)];
    const parts = new Map(rows.map((row) => groupOf(asked, row)).map((g) => [g, [below.get(g) ?? 0, above.get(g) ?? 0]]));
    const exact = !/double|float/.test(told.measures[measure]);
    if (rows.every((row) => adds(...parts.get(groupOf(asked, row)), row[measure] ?? 0, exact))) {
      return { parts, receipt: speed.receipt };
    }
  }
  return null;
}

// The same question about the groups of these rows alone: neither ordered nor cut off nor chosen by what a layer holds.
function about(asked, rows, measure) {
  const by = list(asked.get("by") || ""), where = conditions(asked);
  for (const name of by) (where[name] ||= {}).in = [...new Set(rows.map((row) => row[name]))];
  const given = Object.fromEntries(AS_THEY_ARE.filter((id) => asked.get(id)).map((id) => [id, asked.get(id)]));
  return { ...given, by, where, measures: [measure], limit: MOST };
}

// A receipt's id ends with eight digits that tell the question; what is before them tells the moment.
const moment = ({ receipt }) => receipt.id.slice(0, -8);

function adds(batch, speed, whole, exact) {
  if (!exact) return Math.abs(+batch + +speed - +whole) <= 1e-9 * Math.max(Math.abs(batch), Math.abs(speed), Math.abs(whole));
  const parts = [batch, speed, whole].map((value) => text(value).split("."));
  const digits = Math.max(...parts.map(([, after = ""]) => after.length));
  const [b, s, w] = parts.map(([before, after = ""]) => BigInt(before + after.padEnd(digits, "0")));
  return b + s === w;
}
