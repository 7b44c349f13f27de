// Connections to PostgreSQL, and the adapter through which the WebAssembly engine uses them.

import { readFileSync } from "node:fs";
import pg from "pg";
import { PrismaPg } from "@prisma/adapter-pg";
import { bindAdapter } from "@prisma/driver-adapter-utils";

const DEFAULT_PASSWORD_FILE = "/run/secrets/litellm-db-password";
const CONNECT_TIMEOUT_MS = 5_000;
const RETRY_MS = 200;
const STARTING_OR_STOPPING = "57P03";
const WRONG_PASSWORD = "28P01";
/** A password that is just being changed is right again within this. */
const PASSWORD_PATIENCE_MS = 3_000;
/** The pool's own words when every connection was busy for too long. */
export const POOL_BUSY = "timeout exceeded when trying to connect";
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

  /** Whether the same attempt may succeed soon: not after waiting for a busy pool. */
  get mayPass() {
    if (this.sqlstate) return this.sqlstate === STARTING_OR_STOPPING || this.wrongPassword;
    return this.neverSent && !this.message.startsWith(POOL_BUSY);
  }

  get wrongPassword() {
    return this.sqlstate === WRONG_PASSWORD;
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

/**
 * A pool whose queries tell the two kinds of failure apart and report no type the adapter refuses.
 *
 * It waits for a database that is away, up to its patience: nothing has been sent, so waiting is safe, and LiteLLM
 * drops the spend of keys, users and teams at the first refusal to start a transaction.
 */
class Pool extends pg.Pool {
  async connect() {
    const begun = Date.now();
    for (;;) {
      try {
        return await this.connectOnce();
      } catch (error) {
        const patience = error.wrongPassword ? PASSWORD_PATIENCE_MS : this.options.patienceMs;
        if (!error.mayPass || Date.now() + RETRY_MS > begun + patience) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  async connectOnce() {
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
 * @param {Record<string, string | undefined>} env see `connectionSettings`; PRAXIS_DB_POOL, most connections at once
 *   (10); PRAXIS_DB_PATIENCE, seconds to wait for a database that is away (10)
 * @param {(error: Error) => void} onIdleError told when a connection that nobody uses is cut
 * @throws if a number is none
 */
export function openDatabase(env, onIdleError) {
  const max = count(env, "PRAXIS_DB_POOL", 10, 1);
  const patienceMs = count(env, "PRAXIS_DB_PATIENCE", 10, 0) * 1000;
  const pool = new Pool({ ...connectionSettings(env), max, patienceMs, idleTimeoutMillis: IDLE_TIMEOUT_MS });
  pool.on("error", onIdleError);
  return { pool, adapter: bindAdapter(new PrismaPg(pool)), patienceMs };
}

function count(env, name, otherwise, least) {
  const value = Number(env[name] || otherwise);
  if (!Number.isInteger(value) || value < least) throw new Error(`${name}=${env[name]}: a whole number from ${least} on`);
  return value;
}
