// Interactive documentation, drawn from the service's own OpenAPI document.

import { keyHeaders, useKey } from "/page/api.js";

const LONGEST_SHOWN = 200_000;

const make = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};

const schema = await (await fetch("/schema/openapi.json", { headers: keyHeaders() })).json();
const resolve = (node) => (node?.$ref ? resolve(node.$ref.slice(2).split("/").reduce((at, key) => at[key], schema)) : node);

function typeOf(node) {
  if (node?.$ref) return node.$ref.split("/").pop();
  const inner = node ?? {};
  const options = inner.oneOf ?? inner.anyOf;
  if (options) return options.map(typeOf).join(" or ");
  if (inner.enum) return inner.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (inner.type === "array") return `list of ${typeOf(inner.items)}`;
  const range = inner.minimum ?? inner.maximum;
  return `${inner.type ?? "any"}${range === undefined ? "" : ` ${inner.minimum ?? ""}..${inner.maximum ?? ""}`}`;
}

// A body to start from: the required members with plausible values.
function exampleOf(node, name = "") {
  const inner = resolve(node) ?? {};
  if (inner.default !== undefined && inner.default !== null) return inner.default;
  if (name === "timestamp") return new Date().toISOString();
  const option = (inner.oneOf ?? inner.anyOf)?.[0];
  if (option) return exampleOf(option, name);
  if (inner.enum) return inner.enum[0];
  if (inner.type === "object") {
    const wanted = new Set([...(inner.required ?? []), ...(inner.title === "Event" ? ["item_id", "rating"] : [])]);
    const members = Object.entries(inner.properties ?? {}).filter(([key]) => wanted.has(key));
    return Object.fromEntries(members.map(([key, value]) => [key, exampleOf(value, key)]));
  }
  return { array: [], integer: 1, number: inner.maximum ?? 1, boolean: true, string: name === "" ? "text" : `a ${name}` }[inner.type] ?? null;
}

// The part of Markdown that the introduction uses: paragraphs, `code` and one table.
function prose(text) {
  const inline = (line) => line.split("`").map((part, index) => (index % 2 ? make("code", { textContent: part }) : part));
  return text.split("\n\n").map((block) => {
    if (!block.startsWith("|")) return make("p", {}, ...inline(block));
    const cells = block.split("\n").filter((line) => !line.startsWith("|---")).map((line) => line.split("|").slice(1, -1));
    const rows = cells.map((row, index) => make("tr", {}, ...row.map((cell) => make(index ? "td" : "th", {}, ...inline(cell.trim())))));
    const table = make("details", {}, make("summary", { textContent: "All codes" }), make("div", { className: "scroll" }, make("table", {}, ...rows)));
    return table;
  });
}

function fieldOf(parameter, id) {
  const { name, required, description = "" } = parameter;
  const type = resolve(parameter.schema);
  const choices = type.enum ?? (type.type === "boolean" ? [true, false] : null);
  const input = choices
    ? make("select", { id, name, required }, ...(required ? [] : [make("option", { value: "", textContent: "" })]),
        ...choices.map((value) => make("option", { value: String(value), textContent: String(value) })))
    : make("input", { id, name, required, placeholder: type.default ?? typeOf(parameter.schema) });
  const label = make("label", { htmlFor: id, textContent: `${name}${required ? " (required)" : ""}` });
  label.title = description;
  return make("div", { className: "line", title: description }, label, input);
}

function answersOf(responses) {
  const rows = Object.entries(responses).map(([status, response]) => {
    const types = Object.entries(response.content ?? {}).map(([media, content]) => `${typeOf(content.schema)} (${media})`);
    return make("tr", {}, make("td", {}, make("code", { textContent: status })),
      make("td", { textContent: resolve(response).description }), make("td", { textContent: types.join(", ") }));
  });
  return make("table", {}, ...rows);
}

function requestOf(path, method, form) {
  const values = Object.fromEntries(new FormData(form));
  let address = path;
  const query = new URLSearchParams();
  for (const parameter of form.parameters) {
    const value = values[parameter.name];
    if (parameter.in === "path") address = address.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value) query.set(parameter.name, value);
  }
  if (query.size) address += `?${query}`;
  const body = form.elements.body?.value;
  return { address, options: { method: method.toUpperCase(), ...(body === undefined ? {} : { body, headers: { "Content-Type": "application/json" } }) } };
}

function curlOf({ address, options }) {
  const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const parts = ["curl", ...(options.method === "GET" ? [] : ["-X", options.method]), quote(location.origin + address)];
  if (keyHeaders().Authorization) parts.push("-H", '"Authorization: Bearer $KEY"');
  if (options.body !== undefined) parts.push("-H", quote("Content-Type: application/json"), "-d", quote(options.body));
  return parts.join(" ");
}

async function send(request, result) {
  const [facts, shown] = result.querySelectorAll("p, pre");
  result.hidden = false;
  const started = performance.now();
  try {
    const headers = { ...keyHeaders(), ...request.options.headers };
    const response = await fetch(request.address, { ...request.options, headers, signal: AbortSignal.timeout(10_000) });
    const text = await response.text();
    const time = Math.round(performance.now() - started);
    facts.textContent = `${response.status} ${response.statusText} · ${time} ms · ${response.headers.get("X-Request-ID")}`;
    const isJson = (response.headers.get("Content-Type") ?? "").includes("json");
    shown.textContent = (isJson ? JSON.stringify(JSON.parse(text), null, 2) : text).slice(0, LONGEST_SHOWN);
  } catch (error) {
    facts.textContent = error.name === "TimeoutError" ? "No complete answer within 10 s." : "The service does not answer.";
    shown.textContent = "";
  }
}

function sectionOf(path, method, operation) {
  const section = document.getElementById("operation-template").content.firstElementChild.cloneNode(true);
  const find = (selector) => section.querySelector(selector);
  section.id = operation.operationId;
  find(".method").textContent = method.toUpperCase();
  find(".path").textContent = path;
  find(".summary").textContent = operation.summary;
  const scope = operation["x-required-scope"];
  find(".description").textContent = `${operation.description}${scope ? ` Scope: ${scope}.` : ""}`;
  find(".answers .scroll").append(answersOf(operation.responses));

  const form = find("form");
  form.parameters = (operation.parameters ?? []).filter((parameter) => parameter.in !== "header");
  form.append(...form.parameters.map((parameter) => fieldOf(parameter, `${operation.operationId}-${parameter.name}`)));
  const body = operation.requestBody?.content?.["application/json"];
  if (body) {
    const example = JSON.stringify(exampleOf(body.schema), null, 2);
    const label = `${operation.operationId}-body`;
    form.append(make("label", { htmlFor: label, textContent: `body: ${typeOf(body.schema)}` }),
      make("textarea", { id: label, name: "body", value: example, spellcheck: false }));
  }
  form.append(make("button", { type: "submit", textContent: "Send" }));
  const showCurl = () => (find(".curl").textContent = curlOf(requestOf(path, method, form)));
  form.addEventListener("input", showCurl);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    showCurl();
    send(requestOf(path, method, form), find(".result"));
  });
  showCurl();
  return section;
}

document.getElementById("version").textContent = `version ${schema.info.version} · OpenAPI ${schema.openapi} · ${schema.info.license.name} licence`;
document.getElementById("introduction").append(...prose(schema.info.description));
for (const tag of schema.tags) {
  const sections = Object.entries(schema.paths).flatMap(([path, methods]) =>
    Object.entries(methods).filter(([, operation]) => operation.tags.includes(tag.name)).map(([method, operation]) => sectionOf(path, method, operation)));
  if (!sections.length) continue;
  document.getElementById("operations").append(make("h2", { textContent: tag.name }), make("p", { className: "quiet tag", textContent: tag.description }), ...sections);
}
document.getElementById("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(document.getElementById("key").value.trim());
  document.getElementById("message").textContent = "Kept in this tab only.";
});
if (location.hash) document.getElementById(location.hash.slice(1))?.querySelector("details")?.setAttribute("open", "");
document.body.dataset.ready = "true";
