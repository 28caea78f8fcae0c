/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Starts Swagger UI with the API description of this service; nothing is requested from another
 * host. */
/* global SwaggerUIBundle */

const resolved = (doc, node) =>
  node.$ref
    ? node.$ref
        .slice(2)
        .split("/")
        .reduce((at, key) => at[key], doc)
    : node;

/** The names of the fields that the body of an operation may have. */
const inForm = (doc, { requestBody }) =>
  Object.values(requestBody?.content ?? {}).flatMap(({ schema }) => Object.keys(resolved(doc, schema).properties));

/* A parameter may be sent in the query or in a form, and the token in a header as well. To try an
 * operation, each is shown once: in the form if the operation takes a body, and the token under
 * "Authorize". Examples are removed, since they would be sent if users left them in the fields. */
function showOnce(doc, method, operation) {
  if (method === "get") delete operation.requestBody;
  const names = new Set(inForm(doc, operation));
  operation.parameters = (operation.parameters ?? [])
    .map((parameter) => ({ ...resolved(doc, parameter), example: undefined }))
    .filter(({ name }) => name !== "token" && !names.has(name));
  if (names.size === 0) delete operation.requestBody;
}

/* For the page the operator's listener is another host, and it contacts none. */
function prepare(doc) {
  for (const [path, { servers }] of Object.entries(doc.paths)) if (servers) delete doc.paths[path];
  for (const [name, schema] of Object.entries(doc.components.schemas))
    if (name.endsWith("Form")) delete schema.properties.token;
  for (const item of Object.values(doc.paths))
    for (const method of ["get", "post"]) if (item[method]) showOnce(doc, method, item[method]);
  return { ...doc, externalDocs: { url: "/openapi.json", description: "openapi.json" } };
}

const answer = await fetch("/openapi.json");
SwaggerUIBundle({
  spec: prepare(await answer.json()),
  dom_id: "#docs",
  validatorUrl: null,
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: -1,
});
