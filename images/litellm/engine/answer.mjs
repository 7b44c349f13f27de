// Answers of the WebAssembly engine into those the Python client expects.

import { POOL_BUSY } from "./database.mjs";

const OPAQUE_CODE = "P2036"; // the engine's name for "the adapter threw", with the number of the error in meta.id

/**
 * Take the `$type` wrappers of the JSON protocol off a value, as the GraphQL protocol has none.
 * @param {unknown} value
 */
export function unwrap(value) {
  if (Array.isArray(value)) return value.map(unwrap);
  if (value === null || typeof value !== "object") return value;
  if ("$type" in value) return unwrapTagged(value);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, unwrap(inner)]));
}

function unwrapTagged({ $type: type, value }) {
  if (type === "Decimal") return Number(value);
  if (type === "BigInt") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value; // as text, every digit kept: the client takes both
  }
  return value; // DateTime, Json, Bytes, Enum: their text
}

/**
 * One error in the shape of the engine. `meta` is always an object: the client fails on `null`.
 * @param {string} message
 * @param {string} [code] one of Prisma's, such as P1001
 */
export function errorEntry(message, code) {
  const facing = { is_panic: false, message, meta: {} };
  if (code) facing.error_code = code;
  return { error: message, user_facing_error: facing };
}

/**
 * Errors of the engine, with those of the connection to the database under the codes Prisma gives them. LiteLLM
 * decides by these whether a write may be sent again: P1001 says that it never left, P1017 that it may have been done.
 * @param {object[]} entries
 * @param {(id: number) => unknown} thrown gives what the adapter threw
 * @param {string} place host and port of the database
 */
export function nameErrors(entries, thrown, place) {
  return entries.map((entry) => {
    const facing = entry.user_facing_error ?? {};
    if (facing.error_code === OPAQUE_CODE) return connectionEntry(thrown(facing.meta?.id), place);
    return { ...entry, user_facing_error: { ...facing, meta: facing.meta ?? {} } };
  });
}

/**
 * What the adapter threw, as one error.
 * @param {any} error
 * @param {string} place
 */
export function connectionEntry(error, place) {
  const detail = error?.message || String(error);
  if (error?.neverSent === undefined) return errorEntry(detail); // not of the connection: a fault inside
  if (error.sqlstate?.startsWith("28"))
    return errorEntry(`Authentication failed against database server at ${place}: ${detail}`, "P1000");
  if (error.sqlstate)
    return errorEntry(`Error querying the database: PostgresError { code: "${error.sqlstate}", message: "${detail}" }`);
  if (detail.startsWith(POOL_BUSY))
    return errorEntry(`Timed out fetching a new connection from the connection pool: ${detail}`, "P2024");
  if (error.neverSent) return errorEntry(`Can't reach database server at ${place}: ${detail}`, "P1001");
  return errorEntry(`Server has closed the connection (connection closed: ${detail})`, "P1017");
}
