// The query engine of Prisma, compiled to WebAssembly, as the JavaScript client ships it.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connectionEntry, nameErrors, unwrap } from "./answer.mjs";
import { withoutGenerators } from "./schema.mjs";

const require = createRequire(import.meta.url);
const RUNTIME = "@prisma/client/runtime/query_engine_bg.postgresql";
const NO_TRACE = "{}";

function load() {
  const glue = require(`${RUNTIME}.js`);
  const code = new WebAssembly.Module(readFileSync(require.resolve(`${RUNTIME}.wasm`)));
  const instance = new WebAssembly.Instance(code, { "./query_engine_bg.js": glue });
  glue.__wbg_set_wasm(instance.exports);
  return glue;
}

/** The commit Prisma built the engine from: what the Python client knows as the engine's version. */
export function engineVersion() {
  return load().getBuildTimeInfo().commit;
}

/** The engine over one database. Answers have the GraphQL protocol's shape: `{data}` or `{errors}`. */
export class Engine {
  #engine;
  #errors;
  #place;
  #onFatal;

  /**
   * @param {string} schema text of schema.prisma
   * @param {object} adapter from `openDatabase`
   * @param {string} place host and port of the database, for messages
   * @param {(error: Error) => void} onFatal told when the engine trapped, after which it cannot be used
   * @throws if the schema is not valid
   */
  constructor(schema, adapter, place, onFatal) {
    this.#errors = adapter.errorRegistry;
    this.#place = place;
    this.#onFatal = onFatal;
    const settings = {
      datamodel: withoutGenerators(schema),
      configDir: ".",
      datasourceOverrides: {},
      env: {},
      ignoreEnvVarErrors: true, // the schema's URL is not used: the adapter connects
      engineProtocol: "json",
      logLevel: "error",
      logQueries: false,
    };
    const { QueryEngine } = load();
    this.#engine = new QueryEngine(settings, () => {}, adapter);
  }

  async connect() {
    await this.#engine.connect(NO_TRACE);
  }

  /**
   * Run one query of the JSON protocol.
   * @param {{alias: string, field: string, query: object}} translated from `translate`
   * @param {string | undefined} transaction
   */
  async query({ alias, query }, transaction) {
    const answer = await this.#call((engine) => engine.query(JSON.stringify(query), NO_TRACE, transaction));
    return answer.errors ? answer : relabel(answer, alias);
  }

  /**
   * Run several queries as one batch, in the order given.
   * @param {{alias: string, field: string, query: object}[]} translated
   * @param {boolean} together whether they are one transaction
   * @param {string | undefined} transaction
   */
  async batch(translated, together, transaction) {
    const body = { batch: translated.map(({ query }) => query), transaction: together ? {} : undefined };
    const answer = await this.#call((engine) => engine.query(JSON.stringify(body), NO_TRACE, transaction));
    if (answer.errors) return answer;
    const results = answer.batchResult.map((each, index) =>
      each.errors ? { errors: this.#named(each.errors) } : relabel(each, translated[index].alias),
    );
    return { batchResult: results };
  }

  async startTransaction(options) {
    return this.#transaction((engine) => engine.startTransaction(JSON.stringify(options), NO_TRACE));
  }

  async commit(id) {
    return this.#transaction((engine) => engine.commitTransaction(id, NO_TRACE));
  }

  async rollback(id) {
    return this.#transaction((engine) => engine.rollbackTransaction(id, NO_TRACE));
  }

  // The transaction calls give a bare error, not a list; one of the server's own has no code.
  async #transaction(call) {
    const answer = await this.#call(call);
    if (answer.errors || answer.message === undefined) return answer;
    return { errors: this.#named([{ error: answer.message, user_facing_error: answer }]) };
  }

  async #call(call) {
    let text;
    try {
      text = await call(this.#engine);
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError) this.#onFatal(error);
      return { errors: this.#namedThrown(error) };
    }
    const answer = JSON.parse(text);
    return answer.errors ? { errors: this.#named(answer.errors) } : answer;
  }

  // Some failures are thrown with the engine's JSON as their message.
  #namedThrown(error) {
    try {
      const facing = JSON.parse(error.message);
      return this.#named([{ error: facing.message, user_facing_error: facing }]);
    } catch {
      return [connectionEntry(error, this.#place)];
    }
  }

  #named(entries) {
    return nameErrors(entries, (id) => this.#take(id), this.#place);
  }

  // The registry of the adapter keeps what was thrown until it is told to forget.
  #take(id) {
    const error = this.#errors.registeredErrors[id]?.error;
    delete this.#errors.registeredErrors[id];
    return error;
  }
}

function relabel({ data }, alias) {
  const [value] = Object.values(data);
  return { data: { [alias]: unwrap(value) } };
}
