/** Buys from a service in NestJS: run by the tests of the workspace. */

import assert from "node:assert/strict";
import { Bus, HandlerError } from "replybus";

const [amqp, redis, namespace] = process.argv.slice(2) as [string, string, string];
const bus = await Bus.connect(amqp, redis, { namespace });
const buy = (cents: number) => bus.command("checkout.requests", "buy", { cart: "ada", cents }, { timeout: 60_000 });
assert.deepEqual(await buy(250), { total: 250 });
await assert.rejects(buy(0).reply(), (error: unknown) => {
  assert.deepEqual((error as HandlerError).error, { status: "error", message: "nothing to buy" });
  return true;
});
await bus.close();
console.log("all was as it should be");
