// GraphQL, which the Python client speaks, into the JSON protocol, the only one the WebAssembly engine understands.
//
// The client renders every value into the text itself, so a document is data: operations, arguments, selections.

import { GraphQLError, Kind, parse } from "graphql";

const ACTIONS = [
  "findUnique", "findFirst", "findMany", "createOne", "createMany", "updateOne", "updateMany", "deleteOne",
  "deleteMany", "upsertOne", "aggregate", "groupBy", "queryRaw", "executeRaw",
];
const THROWING = new Set(["findUnique", "findFirst"]);

// Arguments under which a nested write keeps its own arguments, not the fields of the related model.
const NESTED_ARGUMENTS = new Set(["update", "upsert", "updateMany", "connectOrCreate", "createMany"]);

/** A request that is not GraphQL, or asks for something the engine has no name for. */
export class RequestError extends Error {}

/**
 * Translate one GraphQL document.
 * @param {string} text the document
 * @param {Record<string, unknown>} variables values of its variables
 * @param {ReturnType<import("./schema.mjs").readModels>} models the schema
 * @returns {{alias: string, field: string, query: object}[]} one entry for each root field: the name its answer goes
 *   by, the name the engine answers it under, and the query in the JSON protocol
 * @throws {RequestError}
 */
export function translate(text, variables, models) {
  const [operation, ...others] = parseDocument(text);
  if (!operation || others.length > 0) throw new RequestError("expected exactly one operation");
  return operation.selectionSet.selections.map((node) => {
    const { action, modelName } = nameOf(node.name.value, models);
    const raw = action === "queryRaw" || action === "executeRaw";
    const args = argumentsOf(node, variables);
    const query = {
      action,
      query: {
        arguments: raw ? args : tagArguments(args, modelName, models),
        selection: selectionOf(node, variables, modelName, models),
      },
    };
    if (modelName) query.modelName = modelName;
    return { alias: (node.alias ?? node.name).value, field: node.name.value, query };
  });
}

function parseDocument(text) {
  try {
    return parse(text, { noLocation: true }).definitions;
  } catch (error) {
    if (error instanceof GraphQLError) throw new RequestError(`not GraphQL: ${error.message}`);
    throw error;
  }
}

function nameOf(field, models) {
  const base = ACTIONS.find((action) => field.startsWith(action));
  if (!base) throw new RequestError(`unknown operation ${field}`);
  const rest = field.slice(base.length);
  if (rest === "") return { action: base, modelName: undefined };
  if (models.has(rest)) return { action: base, modelName: rest };
  const model = rest.replace(/OrThrow$/, "");
  if (THROWING.has(base) && models.has(model)) return { action: `${base}OrThrow`, modelName: model };
  throw new RequestError(`unknown operation ${field}`);
}

function argumentsOf(node, variables) {
  return Object.fromEntries((node.arguments ?? []).map((each) => [each.name.value, valueOf(each.value, variables)]));
}

function valueOf(node, variables) {
  switch (node.kind) {
    case Kind.STRING:
    case Kind.BOOLEAN:
    case Kind.ENUM:
      return node.value;
    case Kind.NULL:
      return null;
    case Kind.INT:
      return integer(node.value);
    case Kind.FLOAT:
      return Number(node.value);
    case Kind.LIST:
      return node.values.map((each) => valueOf(each, variables));
    case Kind.OBJECT:
      return Object.fromEntries(node.fields.map((each) => [each.name.value, valueOf(each.value, variables)]));
    case Kind.VARIABLE:
      return variables[node.name.value] ?? null;
    default:
      throw new RequestError(`unexpected ${node.kind}`);
  }
}

// A number of JavaScript is exact up to 2^53 only; beyond, the protocol has a tag that carries the digits.
function integer(digits) {
  const number = Number(digits);
  return Number.isSafeInteger(number) ? number : { $type: "BigInt", value: digits };
}

function selectionOf(node, variables, modelName, models) {
  const selection = {};
  for (const each of node.selectionSet?.selections ?? []) {
    const name = each.name.value;
    if (!each.selectionSet && !each.arguments?.length) {
      selection[name] = true;
      continue;
    }
    const related = models.get(modelName)?.relations.get(name);
    const args = argumentsOf(each, variables);
    selection[name] = {
      arguments: related ? tagArguments(args, related, models) : args,
      selection: selectionOf(each, variables, related, models),
    };
  }
  return selection;
}

// --- Json: the engine stores an untagged string in a Json column as a JSON string, quotes and all, so each value
// --- that goes to a Json field is tagged. Which fields those are depends on where in the arguments one stands.

function tagArguments(args, modelName, models) {
  return mapValues(args, (value) => tagFields(value, modelName, models));
}

function tagFields(value, modelName, models) {
  if (Array.isArray(value)) return value.map((each) => tagFields(each, modelName, models));
  if (!isPlainObject(value)) return value;
  const model = models.get(modelName);
  return mapValues(value, (inner, key) => {
    if (model?.json.has(key)) return tagJson(inner);
    const related = model?.relations.get(key);
    if (related) return tagRelation(inner, related, models);
    // AND, OR, NOT and compound keys lead to fields of the same model; operators of a scalar lead to no field.
    return tagFields(inner, modelName, models);
  });
}

function tagRelation(value, modelName, models) {
  if (Array.isArray(value)) return value.map((each) => tagRelation(each, modelName, models));
  if (!isPlainObject(value)) return value;
  return mapValues(value, (inner, key) => {
    const carriesArguments = NESTED_ARGUMENTS.has(key) && [inner].flat().every(hasArguments);
    if (!carriesArguments) return tagFields(inner, modelName, models);
    return Array.isArray(inner)
      ? inner.map((each) => tagArguments(each, modelName, models))
      : tagArguments(inner, modelName, models);
  });
}

function hasArguments(value) {
  return isPlainObject(value) && ("where" in value || "data" in value || "create" in value);
}

const JSON_OPERATORS = new Set(["equals", "not", "array_contains", "array_starts_with", "array_ends_with"]);

// A value to store comes as the text of its JSON; a filter as an object of operators, of which some take JSON.
function tagJson(value) {
  if (typeof value === "string") return { $type: "Json", value };
  if (Array.isArray(value)) return value.map(tagJson);
  if (!isPlainObject(value)) return value;
  return mapValues(value, (inner, key) => (JSON_OPERATORS.has(key) ? tagJson(inner) : inner));
}

function isPlainObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) && !("$type" in value);
}

function mapValues(value, change) {
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, change(inner, key)]));
}
