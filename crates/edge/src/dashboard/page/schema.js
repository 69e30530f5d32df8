// JSON Schema for people: as a table, and as a form that gives what it asks for.

import { h } from "./dom.js";

/** Follows `$ref` within the schema, and takes the one alternative that is not null. */
function settled(schema, root, depth = 0) {
  if (!schema || typeof schema !== "object" || depth > 8) return {};
  if (typeof schema.$ref === "string" && schema.$ref.startsWith("#/")) {
    const path = schema.$ref.slice(2).split("/").map((part) => decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~"));
    const found = path.reduce((at, part) => at?.[part], root);
    return settled({ ...found, ...without(schema, "$ref") }, root, depth + 1);
  }
  for (const key of ["anyOf", "oneOf"]) {
    const others = schema[key]?.filter?.((one) => one?.type !== "null");
    if (others?.length === 1) return settled({ ...others[0], ...without(schema, key) }, root, depth + 1);
    // A choice among constants, each with a description of its own.
    if (others?.length > 1 && others.every((one) => "const" in one)) return { ...without(schema, key), enum: others.map((one) => one.const) };
  }
  return schema;
}

const without = (object, key) => Object.fromEntries(Object.entries(object).filter(([name]) => name !== key));

function typeOf(schema) {
  if (Array.isArray(schema.type)) return schema.type.find((type) => type !== "null") ?? "any";
  return schema.type ?? (schema.properties ? "object" : schema.enum ? "string" : "any");
}

/** What a value has to keep to, in words. */
function bounds(schema) {
  const words = [];
  if (schema.enum) words.push(`one of ${schema.enum.map((value) => JSON.stringify(value)).join(", ")}`);
  if ("const" in schema) words.push(`always ${JSON.stringify(schema.const)}`);
  if (schema.minimum !== undefined) words.push(`at least ${schema.minimum}`);
  if (schema.exclusiveMinimum !== undefined) words.push(`more than ${schema.exclusiveMinimum}`);
  if (schema.maximum !== undefined) words.push(`at most ${schema.maximum}`);
  if (schema.exclusiveMaximum !== undefined) words.push(`less than ${schema.exclusiveMaximum}`);
  if (schema.minLength !== undefined) words.push(`at least ${schema.minLength} characters`);
  if (schema.maxLength !== undefined) words.push(`at most ${schema.maxLength} characters`);
  if (schema.minItems !== undefined) words.push(`at least ${schema.minItems} items`);
  if (schema.maxItems !== undefined) words.push(`at most ${schema.maxItems} items`);
  if (schema.pattern) words.push(`of the form ${schema.pattern}`);
  if (schema.format) words.push(schema.format);
  if (schema.default !== undefined && schema.default !== null) words.push(`default ${JSON.stringify(schema.default)}`);
  return words.join("; ");
}

function described(schema, root) {
  const type = typeOf(schema);
  if (type === "array") return `list of ${described(settled(schema.items ?? {}, root), root)}`;
  return type;
}

/** A schema as a table: what there is, of which type, and what it has to keep to. */
export function readable(schema, label = "Arguments") {
  const rows = [];
  const walk = (part, path, depth) => {
    const required = new Set(part.required ?? []);
    for (const [name, raw] of Object.entries(part.properties ?? {})) {
      const property = settled(raw, schema);
      rows.push(h("tr", null,
        h("th", { scope: "row", class: "mono name" }, path + name, required.has(name) && h("span", { class: "req", title: "required" }, " *")),
        h("td", null, described(property, schema)),
        h("td", null, property.description ?? property.title ?? "", bounds(property) && h("div", { class: "muted small" }, bounds(property)))));
      if (depth < 4) {
        const inner = typeOf(property) === "array" ? settled(property.items ?? {}, schema) : property;
        walk(inner, typeOf(property) === "array" ? `${path}${name}[].` : `${path}${name}.`, depth + 1);
      }
    }
  };
  walk(settled(schema, schema), "", 0);
  if (rows.length === 0) return h("p", { class: "muted" }, "None.");
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, h("table", null,
    h("thead", null, h("tr", null, ...["Name", "Type", "What it is"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", null, rows)),
    h("p", { class: "muted small" }, h("span", { class: "req" }, "*"), " required"));
}

let fields = 0;

/** A form for a schema: `element`, and `read()`, which gives the value or throws an Error that says which field is wrong. */
export function form(schema, value = {}) {
  return group(settled(schema, schema), schema, value ?? {}, null);
}

function group(schema, root, value, title) {
  const required = new Set(schema.required ?? []);
  const parts = Object.entries(schema.properties ?? {}).map(([name, raw]) => {
    const property = settled(raw, root);
    return [name, field(name, property, root, value[name], required.has(name))];
  });
  const children = parts.map(([, part]) => part.element);
  const element = title === null ? h("div", null, children) : h("fieldset", null, h("legend", null, title), children);
  const read = () => {
    const result = {};
    for (const [name, part] of parts) {
      const given = part.read();
      if (given !== undefined) result[name] = given;
    }
    return result;
  };
  return { element, read };
}

function field(name, schema, root, value, isRequired) {
  const type = typeOf(schema);
  if (type === "object" && schema.properties && (isRequired || value !== undefined)) return group(schema, root, value ?? {}, name);
  const id = `field-${fields += 1}`;
  const hint = [schema.description, bounds(schema)].filter(Boolean).join(" · ");
  const frame = (control) => h("div", { class: "field" },
    h("label", { for: id }, schema.title ?? name, isRequired && h("span", { class: "req", "aria-hidden": "true" }, " *")),
    control,
    hint && h("p", { class: "hint", id: `${id}-hint` }, hint));
  const props = { id, name, "aria-required": isRequired ? "true" : null, "aria-describedby": hint ? `${id}-hint` : null };
  const missing = () => { if (isRequired) throw new Error(`${name} is needed`); return undefined; };

  if (schema.enum) {
    const options = schema.enum.map((one, index) => h("option", { value: String(index) }, String(one)));
    const control = h("select", props, isRequired ? null : h("option", { value: "" }, "(not given)"), options);
    const chosen = schema.enum.findIndex((one) => one === value);
    if (chosen >= 0) control.value = String(chosen);
    return { element: frame(control), read: () => (control.value === "" ? missing() : schema.enum[Number(control.value)]) };
  }
  if (type === "boolean") {
    const control = h("select", props, h("option", { value: "" }, "(not given)"), h("option", { value: "true" }, "yes"), h("option", { value: "false" }, "no"));
    if (typeof value === "boolean") control.value = String(value);
    return { element: frame(control), read: () => (control.value === "" ? missing() : control.value === "true") };
  }
  if (type === "number" || type === "integer") {
    const control = h("input", { ...props, type: "text", inputmode: type === "integer" ? "numeric" : "decimal", value: value ?? "" });
    return { element: frame(control), read: () => {
      const text = control.value.trim();
      if (text === "") return missing();
      const number = Number(text);
      if (!Number.isFinite(number) || (type === "integer" && !Number.isInteger(number))) throw new Error(`${name}: ${text} is no ${type === "integer" ? "whole number" : "number"}`);
      return number;
    } };
  }
  if (type === "string") {
    const isLong = (schema.maxLength ?? 0) > 200 || /text|body|content|query|html|code|sql/i.test(name);
    const control = isLong ? h("textarea", { ...props, value: value ?? "", rows: 4 }) : h("input", { ...props, type: "text", value: value ?? "" });
    return { element: frame(control), read: () => (control.value === "" ? missing() : control.value) };
  }
  if (type === "array" && ["string", "number", "integer"].includes(typeOf(settled(schema.items ?? {}, root)))) {
    const of = typeOf(settled(schema.items ?? {}, root));
    const control = h("textarea", { ...props, rows: 3, value: (value ?? []).join("\n"), placeholder: "One on each line" });
    return { element: frame(control), read: () => {
      const lines = control.value.split("\n").map((line) => line.trim()).filter((line) => line !== "");
      if (lines.length === 0) return missing();
      return lines.map((line) => {
        if (of === "string") return line;
        const number = Number(line);
        if (!Number.isFinite(number)) throw new Error(`${name}: ${line} is no number`);
        return number;
      });
    } };
  }
  const control = h("textarea", { ...props, rows: 4, value: value === undefined || value === null ? "" : JSON.stringify(value, null, 2), placeholder: `JSON (${described(schema, root)})` });
  return { element: frame(control), read: () => {
    if (control.value.trim() === "") return missing();
    try {
      return JSON.parse(control.value);
    } catch (error) {
      throw new Error(`${name} is no JSON: ${error.message}`);
    }
  } };
}
