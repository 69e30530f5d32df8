// Makes elements, and writes numbers and times as people read them.

/** An element: `h("p", {class: "muted"}, "text", other)`. What is null, false or undefined is left out. Text is text and never markup. */
export function h(name, props, ...children) {
  return fill(document.createElement(name), props, children);
}

/** The same in SVG. */
export function s(name, props, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), props, children);
}

function fill(element, props, children) {
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "value" || key === "checked" || key === "disabled" || key === "indeterminate") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Puts these in place of what an element holds. */
export function replace(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/** Tells people who do not see the page what has happened. */
export function say(text) {
  document.getElementById("said").textContent = text;
}

const whole = new Intl.NumberFormat("en");

export function count(number) {
  return number === null || number === undefined ? "–" : whole.format(number);
}

export function millis(number) {
  if (number === null || number === undefined) return "–";
  if (number < 1) return `${Math.round(number * 1000)} µs`;
  if (number < 1000) return `${number < 10 ? number.toFixed(1) : Math.round(number)} ms`;
  return `${(number / 1000).toFixed(number < 10000 ? 1 : 0)} s`;
}

export function bytes(number) {
  if (number === null || number === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB"];
  let power = 0;
  while (number >= 1024 && power < 3) { number /= 1024; power += 1; }
  return `${power === 0 ? number : number.toFixed(1)} ${units[power]}`;
}

/** A length of time in its largest unit, and in the next one if there are to be two. */
export function span(seconds, parts = 2) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const from = units.findIndex(([, size]) => seconds >= size);
  if (from < 0) return "0 s";
  const [unit, size] = units[from];
  const more = parts > 1 ? units[from + 1] : null;
  const rest = more ? Math.floor((seconds % size) / more[1]) : 0;
  return `${Math.floor(seconds / size)} ${unit}${rest > 0 ? ` ${rest} ${more[0]}` : ""}`;
}

export function ago(moment) {
  if (!moment) return "never";
  const seconds = Math.max(0, (Date.now() - new Date(moment).getTime()) / 1000);
  return seconds < 3 ? "just now" : `${span(Math.floor(seconds))} ago`;
}

export function time(moment) {
  return moment ? h("time", { datetime: moment, title: moment }, new Date(moment).toLocaleString()) : "–";
}

/** A page's title, what it says of itself, and what can be done on it. */
export function head(title, about, ...actions) {
  return h("div", { class: "head" }, h("div", null, h("h1", null, title), about && h("p", { class: "muted" }, about)), h("div", { class: "actions" }, ...actions));
}

/** A notice: `good`, `bad`, or a warning. */
export function notice(kind, ...children) {
  return h("div", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : null }, h("p", null, ...children));
}

/** A text that can be copied. */
export function copyable(text, label) {
  const button = h("button", { type: "button", "aria-label": `Copy ${label}`, onclick: async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    say(`Copied ${label}`);
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  } }, "Copy");
  return h("div", { class: "copy" }, h("pre", { tabindex: 0, "aria-label": label }, text), button);
}

/** A dialog that is there until it is closed. */
export function dialog(title, ...children) {
  const box = h("dialog", { "aria-label": title }, h("h2", null, title), ...children);
  document.body.append(box);
  box.addEventListener("close", () => box.remove());
  box.showModal();
  return box;
}

/** Asks whether to go on. */
export function confirmed(title, text, yes) {
  return new Promise((resolve) => {
    const box = dialog(title, h("p", null, text), h("div", { class: "actions" },
      h("button", { type: "button", class: "primary", onclick: () => { resolve(true); box.close(); } }, yes),
      h("button", { type: "button", onclick: () => box.close() }, "Not now")));
    box.addEventListener("close", () => resolve(false));
  });
}

/** What stands in an address, as a text; as it stands there, if it is none. */
export function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Saves a text as a file. */
export function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
