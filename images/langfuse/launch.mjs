// Runs a program that takes its secrets from its environment alone, once they are there: node launch.mjs COMMAND…
//
// Every file of the folder is a variable of the same name. It is what runtime.with_secrets does with --env and --redact;
// this image has Node and no Python. The values are never in an argument list nor in what the container was made
// with, and what the program prints passes through here, which puts [NAME] in place of each value.
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { createInterface } from "node:readline";

const FOLDER = process.env.PRAXIS_SECRETS ?? "/run/secrets";
const WAIT_S = Number(process.env.PRAXIS_WAIT_S ?? 60);
const SHORTEST = 8; // characters: what is shorter could stand anywhere

async function delivered() {
  const until = Date.now() + WAIT_S * 1000;
  while (!existsSync(`${FOLDER}/.ready`)) {
    if (Date.now() > until) {
      console.error(`no secrets were delivered to ${FOLDER} within ${WAIT_S} s: is the secrets agent running?`);
      process.exit(1);
    }
    await new Promise((wake) => setTimeout(wake, 100));
  }
  const names = readdirSync(FOLDER).filter((name) => /^[A-Z_][A-Z0-9_]*$/.test(name));
  return Object.fromEntries(names.map((name) => [name, readFileSync(`${FOLDER}/${name}`, "utf8")]));
}

// The longest first: one may be a part of another (a password, and the URL that it is in).
function redactor(secrets) {
  const shown = new Map();
  for (const [name, value] of Object.entries(secrets)) {
    const forms = [value, encodeURIComponent(value), JSON.stringify(value).slice(1, -1), Buffer.from(value).toString("base64")];
    // A URL is printed without its user, or in parts.
    const password = /^[a-z]+:\/\/[^:/]*:([^@]+)@/.exec(value)?.[1];
    for (const form of [...forms, ...(password ? [password] : [])]) {
      if (form.length >= SHORTEST) shown.set(form, `[${name}]`);
    }
  }
  const longest = [...shown].sort(([one], [other]) => other.length - one.length);
  return (line) => longest.reduce((text, [form, mark]) => text.replaceAll(form, mark), line);
}

const secrets = await delivered();
const [command, ...rest] = process.argv.slice(2);
const child = spawn(command, rest, { env: { ...process.env, ...secrets }, stdio: ["ignore", "pipe", "pipe"] });
const redacted = redactor(secrets);
for (const [from, to] of [[child.stdout, process.stdout], [child.stderr, process.stderr]]) {
  createInterface({ input: from }).on("line", (line) => to.write(`${redacted(line)}\n`));
}
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  console.error(`${command} cannot be run: ${error.code}`);
  process.exit(127);
});
child.on("close", (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : code));
