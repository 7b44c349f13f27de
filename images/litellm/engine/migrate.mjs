// Applies LiteLLM's migrations, each once and in order: `node migrate.mjs FOLDER` for FOLDER/*/migration.sql.
//
// Prisma's own `migrate` needs a native program. Each migration is a script of its own and some hold statements that
// PostgreSQL refuses inside a larger transaction, so they are not one; a run that was cut goes on where it stopped.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { connectionSettings } from "./database.mjs";

const LOCK = 7_302_114; // any number, the same for all who migrate: two of them at once wait for each other
const REFUSED_IN_TRANSACTION = "25001";
const PROGRESS_EVERY = 20;
const WAIT_FOR_DATABASE_MS = 60_000;
const RETRY_MS = 500;

function readMigrations(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => ({ name, file: join(folder, name, "migration.sql") }))
    .sort((one, other) => (one.name < other.name ? -1 : 1)); // by time: names begin with it
}

async function connect() {
  const deadline = Date.now() + WAIT_FOR_DATABASE_MS;
  for (;;) {
    const client = new pg.Client(connectionSettings(process.env));
    client.on("error", () => {}); // the query under way says the same
    try {
      await client.connect();
      return client;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

async function pending(client, migrations) {
  await client.query(
    "CREATE TABLE IF NOT EXISTS praxis_migration (name text PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())",
  );
  const { rows } = await client.query("SELECT name FROM praxis_migration");
  const applied = new Set(rows.map((row) => row.name));
  return migrations.filter(({ name }) => !applied.has(name));
}

/**
 * One script with its record. A query of several statements is one implicit transaction, so a script is applied whole
 * or not at all, its record included. Those PostgreSQL refuses there hold one statement each (CREATE INDEX
 * CONCURRENTLY IF NOT EXISTS), which may run again if the record is lost.
 */
async function apply(client, { name, file }) {
  const script = readFileSync(file, "utf8");
  const record = `INSERT INTO praxis_migration (name) VALUES (${pg.escapeLiteral(name)})`;
  try {
    await client.query(`${script}\n;\n${record};`).catch(async (error) => {
      if (error.code !== REFUSED_IN_TRANSACTION) throw error;
      await client.query(script);
      await client.query(record);
    });
  } catch (error) {
    throw new Error(`migration ${name}: ${error.message}`, { cause: error });
  }
}

async function main([folder]) {
  if (!folder) throw new Error("usage: node migrate.mjs FOLDER");
  const migrations = readMigrations(folder);
  if (migrations.length === 0) throw new Error(`${folder}: no migrations`);
  const client = await connect();
  try {
    await client.query("SELECT pg_advisory_lock($1)", [LOCK]);
    const todo = await pending(client, migrations);
    for (const [index, migration] of todo.entries()) {
      await apply(client, migration);
      if ((index + 1) % PROGRESS_EVERY === 0) console.log(`migrations: ${index + 1} of ${todo.length}`);
    }
    console.log(`migrations: ${todo.length} applied, ${migrations.length - todo.length} were there`);
  } finally {
    await client.end(); // gives the lock back
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.message);
  process.exit(1);
});
