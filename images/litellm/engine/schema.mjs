// What the engine stand-in must know of a Prisma schema: which fields hold Json and which point to another model.
//
// The WebAssembly engine gives no description of its data model, and Prisma's own parser is not part of the client,
// so the few lines that matter are read here. Prisma's grammar puts each field on a line of its own.

const MODEL = /^\s*model\s+(\w+)\s*\{/;
const FIELD = /^\s*(\w+)\s+(\w+)(?:\[\])?\??(?:\s|$)/;

/**
 * Read a schema.
 * @param {string} text a schema.prisma
 * @returns {Map<string, {json: Set<string>, relations: Map<string, string>}>} by name of model: its Json fields, and
 *   its relations with the model each leads to
 */
export function readModels(text) {
  const fields = fieldsByModel(text);
  const models = new Map();
  for (const [name, pairs] of fields) {
    const model = { json: new Set(), relations: new Map() };
    for (const [field, type] of pairs) {
      if (type === "Json") model.json.add(field);
      else if (fields.has(type)) model.relations.set(field, type);
    }
    models.set(name, model);
  }
  return models;
}

function fieldsByModel(text) {
  const fields = new Map();
  let current = null;
  for (const line of text.split("\n")) {
    const start = MODEL.exec(line);
    if (start) {
      current = [];
      fields.set(start[1], current);
    } else if (/^\s*\}/.test(line)) {
      current = null;
    } else if (current) {
      const field = FIELD.exec(line);
      if (field) current.push([field[1], field[2]]);
    }
  }
  return fields;
}

/**
 * Turn a schema into one the WebAssembly engine takes: the data source alone, without generators, which name
 * programs and platforms that mean nothing here.
 * @param {string} text a schema.prisma
 * @returns {string}
 */
export function withoutGenerators(text) {
  return text.replace(/^\s*generator\s+\w+\s*\{[^}]*\}/gm, "");
}
