// An answer in rows, and its receipt in words.

import { $, areNumbers, grouped, make, shown } from "./elements.js";

const ROWS = 1000;

// `why` gives the command for a row, or nothing; `tell` is called with it when its button is pressed.
export function table(rows, told, why, tell) {
  const [head, body] = $("rows").children;
  const names = Object.keys(rows[0] || {});
  const kinds = names.map((name) => (areNumbers(told, name, rows) ? "number" : ""));
  const commands = rows.slice(0, ROWS).map(why), asked = commands.some(Boolean);
  const last = asked ? [make("th", { scope: "col", className: "why" }, "records")] : [];
  head.replaceChildren(make("tr", {}, ...names.map((name, i) => make("th", { scope: "col", className: kinds[i] }, name)), ...last));
  const cell = (value, kind) => make("td", { className: kind }, kind && value !== null ? grouped(value) : shown(value));
  const button = (command) => make("button", {
    type: "button", title: command, ariaLabel: `Copy ${command}`, onclick: () => tell(command) }, "why");
  const line = (row, i) => make("tr", {}, ...names.map((name, j) => cell(row[name], kinds[j])),
    ...(asked ? [make("td", { className: "why" }, ...(commands[i] ? [button(commands[i])] : []))] : []));
  const focused = [...body.querySelectorAll("button")].findIndex((each) => each === document.activeElement);
  body.replaceChildren(...rows.slice(0, ROWS).map(line));
  if (focused >= 0) body.querySelectorAll("button")[focused]?.focus();
  if (!rows.length) body.replaceChildren(make("tr", {}, make("td", {}, "No rows.")));
  if (rows.length > ROWS) body.append(make("tr", {}, make("td", { colSpan: names.length }, `and ${rows.length - ROWS} more, not shown here`)));
}

export function toldBy(receipt) {
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
