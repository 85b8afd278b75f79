// How the views stand: the first line, where batch and speed meet, a card of each view, and what one holds.

import { changes } from "./changes.js";
import { $, ago, make, say, shown, text } from "./elements.js";

export function standing({ now, problems, views }) {
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

export function card(view, now) {
  const behind = view.behind?.records ?? null;
  const known = {
    version: view.version?.split("@")[1], seq: view.seq, quarantined: view.quarantined, failed: view.failed,
    "newest run": view.run_at ? ago(now - view.run_at) : "none yet",
    behind: behind === null ? "not known: the log's end is not seen" : `${behind} records, ${view.behind.seconds} s`,
    gaps: view.gaps?.length ? view.gaps.map((gap) => `${gap.records} records at seq ${gap.seq}: ${gap.why}`).join("; ") : "none",
  };
  const told = Object.entries(known).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, shown(value))]);
  return make("article", {}, make("h3", {}, view.view), make("p", {}, view.standing), make("dl", {}, ...told), ...changes(view, now));
}

export function joint(view) {
  const [origin, cut, position] = [view.origin || {}, view.cut || {}, view.position || {}];
  const end = view.end || {};
  const partitions = [...new Set([position, end].flatMap(Object.keys))].sort((a, b) => a - b);
  if ($("bars").dataset.of !== `${view.view} ${partitions}`) {
    $("bars").dataset.of = `${view.view} ${partitions}`;
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

export function catalogue(told) {
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
