/** Calls a service in Rust until its input ends, and expects every answer: run by the tests of the
 * workspace, which cut its connections meanwhile. */

import assert from "node:assert/strict";
import { Bus } from "replybus";

const DESK = "desk.requests";
const NOTE = { text: "", numbers: [1], largest: 2, share: 0.5, inner: null };

const [amqp, redis, namespace] = process.argv.slice(2) as [string, string, string];
const bus = await Bus.connect(amqp, redis, { namespace, app: "load.ts" });
let ended = false;
process.stdin.on("end", () => (ended = true)).resume();
for (let number = 1; !ended; number++) {
  const to = String(number);
  const calls = Array.from({ length: 100 }, () => bus.query(DESK, "echo", { note: NOTE }, { timeout: 60_000 }));
  calls.push(bus.command(DESK, "add", { to, amount: 1 }, { idempotencyKey: to, timeout: 60_000 }));
  assert.deepEqual(await bus.gather(calls), [...Array(100).fill(NOTE), 1]);
  console.log("answered");
}
await bus.close();
console.log("all was as it should be");
