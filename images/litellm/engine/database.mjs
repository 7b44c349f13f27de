// Connections to PostgreSQL, and the adapter through which the WebAssembly engine uses them.

import { readFileSync } from "node:fs";
import pg from "pg";
import { PrismaPg } from "@prisma/adapter-pg";
import { bindAdapter } from "@prisma/driver-adapter-utils";

const DEFAULT_PASSWORD_FILE = "/run/secrets/litellm-db-password";
const CONNECT_TIMEOUT_MS = 5_000;
const IDLE_TIMEOUT_MS = 300_000;

// Types the adapter refuses that have a faithful text form (type id in PostgreSQL's catalogue -> the id to report).
const TEXT = 25;
const TEXT_ARRAY = 1009;
const REPORTED_AS = new Map([
  [18, TEXT], // "char"
  [19, TEXT], // name
  [705, TEXT], // unknown
  [1186, TEXT], // interval
  [2205, TEXT], // regclass
  [2206, TEXT], // regtype
  [2278, TEXT], // void: what pg_advisory_lock() returns
  [3220, TEXT], // pg_lsn
  [1003, TEXT_ARRAY], // name[]
]);
for (const [type, reported] of REPORTED_AS) pg.types.setTypeParser(type, pg.types.getTypeParser(reported));

/** A failure of the connection, not of a statement. `neverSent`: the statement certainly did not reach the server. */
export class ConnectionFailure extends Error {
  constructor(cause, neverSent) {
    super(cause.message, { cause });
    this.neverSent = neverSent;
    this.sqlstate = typeof cause.severity === "string" ? cause.code : undefined;
  }
}

/**
 * Settings of one connection, from the environment. The password is read at each new connection, so one that was
 * changed is picked up without a restart, and no URL with a password in it is needed.
 * @param {Record<string, string | undefined>} env PGHOST, PGPORT, PGUSER, PGDATABASE, PRAXIS_DB_PASSWORD_FILE
 */
export function connectionSettings(env) {
  const file = env.PRAXIS_DB_PASSWORD_FILE || DEFAULT_PASSWORD_FILE;
  return {
    host: env.PGHOST || "postgres",
    port: Number(env.PGPORT || 5432),
    user: env.PGUSER || "litellm",
    database: env.PGDATABASE || "litellm",
    password: () => readFileSync(file, "utf8").trim(),
    // The adapter cuts the zone off a timestamp, which is right in UTC only.
    options: "-c timezone=UTC",
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    application_name: "litellm",
  };
}

/** A pool whose queries tell the two kinds of failure apart and report no type the adapter refuses. */
class Pool extends pg.Pool {
  async connect() {
    let client;
    try {
      client = await super.connect();
    } catch (error) {
      throw new ConnectionFailure(error, true);
    }
    return new Lease(client);
  }

  async query(config) {
    const lease = await this.connect();
    try {
      return await lease.query(config);
    } finally {
      lease.release();
    }
  }
}

/** One connection, on loan from the pool. */
class Lease {
  #client;
  #broken = null;
  // A connection cut while on loan says so as an event, which without a listener would end the process.
  #onError = (error) => (this.#broken = error);

  constructor(client) {
    this.#client = client;
    client.on("error", this.#onError);
  }

  async query(config) {
    if (this.#broken) throw new ConnectionFailure(this.#broken, true);
    let result;
    try {
      result = await this.#client.query(config);
    } catch (error) {
      // What the server refused has a severity, and the adapter has a form for it; the rest is the connection's.
      if (typeof error.severity !== "string" || error.severity === "FATAL") this.#broken = error;
      if (typeof error.severity === "string") throw error;
      throw new ConnectionFailure(error, false);
    }
    for (const field of result.fields) field.dataTypeID = REPORTED_AS.get(field.dataTypeID) ?? field.dataTypeID;
    return result;
  }

  release() {
    this.#client.off("error", this.#onError);
    this.#client.release(this.#broken ?? undefined);
  }
}

/**
 * The pool, and the adapter the engine takes. Nothing connects before the first query.
 * @param {Record<string, string | undefined>} env see `connectionSettings`, and PRAXIS_DB_POOL: most connections
 *   at once, 10 if not given
 * @param {(error: Error) => void} onIdleError told when a connection that nobody uses is cut
 */
export function openDatabase(env, onIdleError) {
  const max = Number(env.PRAXIS_DB_POOL || 10);
  if (!Number.isInteger(max) || max < 1) throw new Error(`PRAXIS_DB_POOL=${env.PRAXIS_DB_POOL}: a number from 1 on`);
  const pool = new Pool({ ...connectionSettings(env), max, idleTimeoutMillis: IDLE_TIMEOUT_MS });
  pool.on("error", onIdleError);
  return { pool, adapter: bindAdapter(new PrismaPg(pool)) };
}
