// Draws /openapi.json: routes, fields, answers, and a curl line to try. Every text becomes a text node.

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** A text whose `quoted` parts become code. */
function prose(text) {
  return text.split("`").map((part, index) => (index % 2 ? element("code", "", part) : part));
}

const METHODS = ["get", "post", "put", "patch", "delete"];

function draw(document_) {
  const resolve = (schema) => {
    const name = schema?.$ref?.split("/").pop();
    return name ? document_.components.schemas[name] : schema ?? {};
  };

  function typeOf(schema) {
    if (schema.$ref) return schema.$ref.split("/").pop();
    if (schema.const !== undefined) return JSON.stringify(schema.const);
    if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
    if (schema.anyOf) return schema.anyOf.map(typeOf).join(" | ");
    if (schema.type === "array") return `[${typeOf(schema.items ?? {})}]`;
    return schema.type ?? "any";
  }

  function rangeOf(schema) {
    for (const part of [schema, ...(schema.anyOf ?? [])]) {
      const low = part.minimum ?? part.exclusiveMinimum, high = part.maximum ?? part.exclusiveMaximum;
      if (low === undefined && high === undefined) continue;
      if (!Number.isSafeInteger(Math.trunc(high ?? 0))) return "64 bits";
      const from = part.exclusiveMinimum !== undefined ? `above ${low}` : low ?? "";
      return high === undefined ? `${from} or more` : `${from} to ${high}`;
    }
    return "";
  }

  function fields(schema) {
    const { properties = {}, required = [] } = resolve(schema);
    const rows = Object.entries(properties).map(([name, field]) => {
      const note = [rangeOf(field), field.description].filter(Boolean).join(". ");
      const label = element("code", "", required.includes(name) ? `${name} *` : name);
      return element("tr", "", element("td", "", label), element("td", "", typeOf(field)), element("td", "", ...prose(note)));
    });
    return element("table", "", element("tbody", "", ...rows));
  }

  function block(title, schema) {
    const about = resolve(schema).description;
    const described = about ? [element("p", "", ...prose(about))] : [];
    return [element("h4", "", `${title}: ${typeOf(schema)}`), ...described, fields(schema)];
  }

  function example(method, path, body, security) {
    const lines = [`curl -X ${method.toUpperCase()} ${location.origin}${path}`];
    if (security) lines.push(`  -H "authorization: Bearer $TURKISH_AI_ADMIN_KEY"`);
    if (body) {
      const sample = { "/v1/chat/completions": { model: "auto", messages: [{ role: "user", content: "Kredi kartı aidatı geri alınır mı?" }] },
        "/adapters": { sector: "finance_banking" } }[path] ?? { text: "Kredi kartı aidatı geri alınır mı?" };
      lines.push(`  -H 'content-type: application/json'`, `  -d '${JSON.stringify(sample)}'`);
    }
    return element("pre", "", element("code", "", lines.join(" \\\n")));
  }

  function route(method, path, operation) {
    const request = operation.requestBody?.content?.["application/json"]?.schema;
    const body = element("div", "body");
    if (operation.description) body.append(element("p", "", ...prose(operation.description)));
    body.append(example(method, path, request, operation.security));
    if (request) body.append(...block("Body", request));
    for (const [status, answer] of Object.entries(operation.responses)) {
      const schema = answer.content?.["application/json"]?.schema;
      if (status === "200" && schema) body.append(...block("Answer", schema));
    }
    const refusals = Object.entries(operation.responses).filter(([status]) => status !== "200");
    if (refusals.length) {
      const rows = refusals.map(([status, { description }]) =>
        element("tr", "", element("td", "", status), element("td", "", ...prose(description))));
      body.append(element("h4", "", "Refusals"), element("table", "", element("tbody", "", ...rows)));
    }
    const summary = element("summary", "", element("code", "method", method.toUpperCase()),
      element("code", "path", path), element("span", "summary", operation.summary ?? ""));
    return element("details", "", summary, body);
  }

  const sections = new Map();
  for (const [path, operations] of Object.entries(document_.paths)) {
    for (const method of METHODS.filter((name) => operations[name])) {
      const tag = operations[method].tags?.[0] ?? "Other";
      if (!sections.has(tag)) sections.set(tag, element("section", "", element("h2", "", tag)));
      sections.get(tag).append(route(method, path, operations[method]));
    }
  }
  return [...sections.values()];
}

const routes = document.getElementById("routes");
try {
  routes.replaceChildren(...draw(await (await fetch("/openapi.json")).json()));
} catch (error) {
  routes.replaceChildren(element("p", "remark", `openapi.json could not be read: ${error.message}`));
}
