// node probe.mjs PORT PATH: exit 0 if GET http://127.0.0.1:PORT/PATH answers 2xx within 3 s. There is no shell with sockets here.
import { get } from "node:http";

const [port, path] = process.argv.slice(2);
const request = get({ host: "127.0.0.1", port, path, timeout: 3000 }, (answer) => process.exit(answer.statusCode >= 200 && answer.statusCode < 300 ? 0 : 1));
request.on("timeout", () => process.exit(1));
request.on("error", () => process.exit(1));
