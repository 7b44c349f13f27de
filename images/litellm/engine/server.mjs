// The HTTP interface of Prisma's query engine, as far as the Python client uses it.

import { createServer } from "node:http";
import { errorEntry } from "./answer.mjs";
import { RequestError, translate } from "./request.mjs";

const TRANSACTION_HEADER = "x-transaction-id";
const TRANSACTION_PATH = /^\/transaction\/([^/]+)\/(commit|rollback)$/;
const DEFAULT_MAX_WAIT_MS = 2_000;
const DEFAULT_TIMEOUT_MS = 5_000;

/** Counts what passes, for /metrics. */
class Counters {
  queries = 0;
  failed = 0;
  transactions = 0;

  asJson(pool) {
    return {
      counters: [metric("prisma_client_queries_total", this.queries),
        metric("prisma_client_queries_failed_total", this.failed),
        metric("prisma_client_transactions_total", this.transactions)],
      gauges: [metric("prisma_pool_connections_open", pool.totalCount),
        metric("prisma_pool_connections_idle", pool.idleCount),
        metric("prisma_client_queries_wait", pool.waitingCount)],
      histograms: [],
    };
  }

  asText(pool) {
    const { counters, gauges } = this.asJson(pool);
    return [["counter", counters], ["gauge", gauges]]
      .flatMap(([type, list]) => list.flatMap(({ key, value }) => [`# TYPE ${key} ${type}`, `${key} ${value}`]))
      .join("\n").concat("\n");
  }
}

function metric(key, value) {
  return { key, value, labels: {}, description: key.replaceAll("_", " ") };
}

/**
 * The server, not yet listening.
 * @param {object} parts
 * @param {import("./wasm.mjs").Engine} parts.engine
 * @param {Map} parts.models from `readModels`
 * @param {{totalCount: number, idleCount: number, waitingCount: number}} parts.pool
 * @param {number} parts.patienceMs how long the pool waits for a database that is away
 * @param {() => string} parts.waitingFor why queries cannot be answered yet; empty when they can
 */
export function makeServer({ engine, models, pool, patienceMs, waitingFor }) {
  const counters = new Counters();

  async function route(request, url) {
    if (request.method === "GET") {
      // The client asks until there is no `Errors`, for ten seconds: that is its wait for the database.
      if (url.pathname === "/status") return waitingFor() ? { Errors: [waitingFor()] } : { status: "ok" };
      if (url.pathname === "/metrics")
        return url.searchParams.get("format") === "prometheus" ? counters.asText(pool) : counters.asJson(pool);
      return undefined;
    }
    if (request.method !== "POST") return undefined;
    if (url.pathname === "/") return query(await bodyOf(request), request.headers[TRANSACTION_HEADER]);
    if (url.pathname === "/transaction/start") return start(await bodyOf(request));
    const [, id, verb] = TRANSACTION_PATH.exec(url.pathname) ?? [];
    return id && engine[verb](id);
  }

  async function query(body, transaction) {
    if (Array.isArray(body.batch)) {
      const translated = body.batch.flatMap((each) => translate(each.query, each.variables ?? {}, models));
      counters.queries += translated.length;
      return engine.batch(translated, body.transaction === true, transaction);
    }
    const translated = translate(body.query, body.variables ?? {}, models);
    const merged = {};
    for (const each of translated) {
      counters.queries += 1;
      const answer = await engine.query(each, transaction);
      if (answer.errors) return answer;
      Object.assign(merged, answer.data);
    }
    return { data: merged };
  }

  function start({ max_wait = DEFAULT_MAX_WAIT_MS, timeout = DEFAULT_TIMEOUT_MS, isolation_level }) {
    counters.transactions += 1;
    // The client's wait is for a busy pool; one for a database that is away must not end before the pool's.
    return engine.startTransaction({ max_wait: Math.max(max_wait, patienceMs + 1_000), timeout, isolation_level });
  }

  async function answer(request, response) {
    try {
      const result = await route(request, new URL(request.url, "http://engine"));
      if (result?.errors) counters.failed += 1;
      if (result === undefined) send(response, 404, { errors: [errorEntry(`no such path: ${request.url}`)] });
      else send(response, 200, result);
    } catch (error) {
      counters.failed += 1;
      // A fault of ours or of the request: never the process's end, and not taken for one of the database.
      if (!(error instanceof RequestError)) console.error("query engine:", error);
      send(response, 200, { errors: [errorEntry(error.message, error instanceof RequestError ? "P2009" : undefined)] });
    }
  }

  return createServer(answer);
}

async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString("utf8");
  try {
    const body = JSON.parse(text || "{}");
    if (body !== null && typeof body === "object") return body;
  } catch {
    // said below
  }
  throw new RequestError("the body is not a JSON object");
}

function send(response, status, result) {
  const json = typeof result !== "string";
  response.writeHead(status, { "content-type": json ? "application/json" : "text/plain; version=0.0.4" });
  response.end(json ? JSON.stringify(result) : result);
}
