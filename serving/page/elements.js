// Makes elements. Whatever the server says becomes text, never markup: only `make` and `drawn` make elements.

export const $ = (id) => document.getElementById(id);
export const text = (value) => (value !== null && typeof value === "object" ? JSON.stringify(value) : String(value));

export function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export function drawn(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export const shown = (value) =>
  (value === null || value === undefined ? make("span", { className: "null" }, "null") : text(value));

export function say(element, words) {
  if (element.textContent !== words) element.textContent = words; // told aloud only when it changes
}

export function ago(seconds) {
  const [n, unit] = seconds < 90 ? [seconds, "s"] : seconds < 5400 ? [seconds / 60, "min"]
    : seconds < 172800 ? [seconds / 3600, "h"] : [seconds / 86400, "days"];
  return `${Math.max(0, Math.round(n))} ${unit} ago`;
}

// A measure that is a text is none, whatever digits it holds: `00123` is a code.
export const areNumbers = (told, name, rows) => {
  const type = told.measures[name.split(".")[0]];
  return Boolean(type) && type !== "string" && rows.every((row) => isNumber(row[name]));
};

const isNumber = (value) =>
  value === null || (["number", "string"].includes(typeof value) && value !== "" && Number.isFinite(+value));

export function grouped(value) {
  const [whole, ...rest] = text(value).split(".");
  return [whole.replace(/\B(?=(\d{3})+$)/g, ","), ...rest].join(".");
}

export function options(select, names) {
  if ([...select.options].map((o) => o.value).join("\n") === names.join("\n")) return;
  const before = select.value;
  select.replaceChildren(...names.map((value) => make("option", { value }, value)));
  if (names.includes(before)) select.value = before;
}
