// Stands in for Prisma's query engine: the program that the Python client of Prisma starts and talks to over HTTP.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { connectionSettings, openDatabase } from "./database.mjs";
import { readModels } from "./schema.mjs";
import { makeServer } from "./server.mjs";
import { Engine, engineVersion } from "./wasm.mjs";

const RETRY_MS = 500;
const PARENT_CHECK_MS = 1_000;
const LAST_WORD_MS = 3_000; // for requests under way when told to end
const USAGE = "usage: query-engine -p PORT [--enable-metrics] [--enable-raw-queries] | --version";

function say(message) {
  console.error(`query engine: ${message}`);
}

function fail(message) {
  say(message);
  process.exit(1);
}

function readArguments() {
  try {
    const { values } = parseArgs({
      options: {
        port: { type: "string", short: "p" },
        host: { type: "string", short: "H", default: "127.0.0.1" },
        version: { type: "boolean", short: "V", default: false },
        // Metrics and raw queries are always on: the client asks for both, every time.
        "enable-metrics": { type: "boolean" },
        "enable-raw-queries": { type: "boolean" },
      },
    });
    return values;
  } catch (error) {
    return fail(`${error.message}; ${USAGE}`);
  }
}

function readSchema(env) {
  if (env.PRISMA_DML) return Buffer.from(env.PRISMA_DML, "base64").toString("utf8");
  if (!env.PRISMA_DML_PATH) return fail("neither PRISMA_DML_PATH nor PRISMA_DML names a schema");
  try {
    return readFileSync(env.PRISMA_DML_PATH, "utf8");
  } catch (error) {
    return fail(`PRISMA_DML_PATH: ${error.message}`);
  }
}

// The client may be killed without a word to us; then nobody would ever end this process.
function endWithParent(end) {
  const parent = Number(process.env.PRAXIS_ENGINE_PARENT) || process.ppid; // as the start script saw it
  setInterval(() => process.ppid !== parent && end("the parent has ended"), PARENT_CHECK_MS).unref();
}

async function waitForDatabase(pool, onWaiting) {
  for (;;) {
    try {
      return (await pool.connectOnce()).release();
    } catch (error) {
      onWaiting(error.message);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

async function main() {
  const options = readArguments();
  if (options.version) return console.log(`query-engine ${engineVersion()}`);
  const port = Number(options.port);
  if (!Number.isInteger(port) || port < 1 || port > 65535) fail(`-p ${options.port}: not a port; ${USAGE}`);

  const schema = readSchema(process.env);
  const { host: databaseHost, port: databasePort } = connectionSettings(process.env);
  const { pool, adapter, patienceMs } = openDatabase(process.env, (error) => say(`an idle connection was cut: ${error.message}`));
  const place = `${databaseHost}:${databasePort}`;
  // After a trap nothing of the engine can be trusted; LiteLLM watches this process and starts another.
  const engine = new Engine(schema, adapter, place, (error) => {
    say(`trapped: ${error.stack}`);
    setImmediate(() => process.exit(70));
  });

  await engine.connect(); // opens no connection: the adapter does, when needed
  let waiting = "connecting to the database";
  const models = readModels(schema);
  const server = makeServer({ engine, models, pool, patienceMs, waitingFor: () => waiting });
  let ending = false;
  function end(why) {
    if (ending) return;
    ending = true;
    if (why) say(why);
    setTimeout(() => process.exit(0), LAST_WORD_MS).unref();
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  }
  process.on("SIGTERM", () => end());
  process.on("SIGINT", () => end());
  endWithParent(end);

  server.keepAliveTimeout = 75_000; // longer than the client keeps a connection, so that it is the one to close
  server.on("error", (error) => fail(error.message));
  server.listen(port, options.host);
  await waitForDatabase(pool, (why) => (waiting = `waiting for the database at ${place}: ${why}`));
  waiting = "";
}

main().catch((error) => fail(error.message));
