// A node for one test file. The node's own command line stands in for the client of the code under test.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

const RMQ = process.env.RMQ_BIN ?? "rmq";
const run = promisify(execFile);

/** A node on free ports. It ends with `stop`, or with this process. */
async function startNode(...flags) {
  const args = ["serve", "--ephemeral", "--port", "0", "--broker-port", "0", "--parent-pid", String(process.pid)];
  const child = spawn(RMQ, [...args, ...flags], { stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout });
  const ended = once(child, "close");
  const line = await Promise.race([once(lines, "line"), ended.then(([code]) => { throw new Error(`exit code ${code}`); })]);
  const ready = JSON.parse(line[0]);
  return {
    ready,
    rmq: async (...command) => (await run(RMQ, [...command, "--namesrv", ready.namesrv])).stdout,
    stop: async () => {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

let node;
before(async () => { node = await startNode("--topic", "orders:4", "--group", "billing"); });
after(() => node.stop());

test("a message that is sent is consumed", async () => {
  await node.rmq("send", "orders", "hello", "--key", "42");
  const printed = await node.rmq("consume", "orders", "-g", "billing", "--from", "earliest", "-n", "1", "--timeout", "20s", "-o", "jsonl");
  const message = JSON.parse(printed);
  assert.equal(message.bodyText, "hello");
  assert.equal(message.keys, "42");
  await node.rmq("wait", "--group-idle", "billing", "--timeout", "10s");
});
