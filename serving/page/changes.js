// What an operator sees of a view's changes: what holds a batch back, what waits, what the last diff found, and the way back.

import { ago, grouped, make } from "./elements.js";

const short = (version) => version.split("@")[1];
const total = (value) => (value === null ? "no number" : grouped(value));

function differs({ groups, gone, new: added, measures, at, seq }, now) {
  const lines = Object.entries(measures).map(([name, m]) =>
    make("li", {}, `${name}: ${m.differing} of ${groups} groups differ, ${total(m.before)} → ${total(m.after)}`));
  return [make("p", {}, `Diff ${ago(now - at)} at seq ${seq}: ${gone} groups gone, ${added} new`), make("ul", {}, ...lines)];
}

export function changes({ change }, now) {
  if (!change) return [];
  const { staged, diff, changed, back, held_back: held } = change;
  const told = [
    ...(held ? [make("p", { className: "bad" }, held.what, make("code", {}, held.next))] : []),
    ...staged.flatMap(({ version, seq, ready, next }) => [
      make("p", {}, `${short(version)} ${ready ? "waits" : "is not whole yet"}, computed up to seq ${seq}`, make("code", {}, next)),
      ...(diff?.after === version ? differs(diff, now) : []),
    ]),
    ...(changed ? [make("p", {}, `${short(changed.before)} → ${short(changed.version)} ${ago(now - changed.at)}: ${changed.note}`)] : []),
    ...(back ? [make("p", {}, `Undo: back to ${short(back.version)}`, make("code", {}, back.next))] : []),
  ];
  return told.length ? [make("h4", {}, "Change"), ...told] : [];
}
