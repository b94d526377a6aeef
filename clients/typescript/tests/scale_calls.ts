/** Sends streams to a service in Rust: run by the tests of the workspace. */

import assert from "node:assert/strict";
import { setImmediate as later } from "node:timers/promises";
import { Bus, CallFailed, type ContentType, HandlerError, JSON_TYPE, MSGPACK } from "replybus";

const SCALE = "scale.requests";

function* numbers(from: number, to: number): Generator<number> {
  for (let number = from; number < to; number++) yield number;
}

async function* counted(to: number): AsyncGenerator<number> {
  for (const number of numbers(0, to)) {
    // Some of them are not there at once.
    if (number % 100 === 0) await later();
    yield number;
  }
}

async function* breaksOff(): AsyncGenerator<number> {
  yield 1;
  throw new Error("there are no more");
}

async function streams(bus: Bus, contentType: ContentType): Promise<void> {
  const call = bus.command(SCALE, "total", { start: 7 }, { contentType, timeout: 30_000 });
  assert.equal(await call.feed(numbers(1, 1001), 512), 500_507);
  assert.equal(await call.feed(counted(120), 1), 7_147);
  assert.equal(await call.feed([]), 7);
  const keyed = bus.command(SCALE, "total", { start: 0 }, { contentType, idempotencyKey: contentType });
  for (let time = 0; time < 2; time++) assert.equal(await keyed.feed([1, 2]), 3);
  const some = bus.query(SCALE, "some", {}, { contentType });
  assert.deepEqual(await some.feed(numbers(0, Number.POSITIVE_INFINITY)), [0, 1, 2]);
}

async function failures(bus: Bus): Promise<void> {
  const total = bus.command(SCALE, "total", { start: 0 });
  const cases: [() => Promise<unknown>, string, boolean][] = [
    [() => total.feed(breaksOff()).reply(), "interrupted", true],
    [() => total.feed([() => 1]).reply(), "interrupted", true],
    [() => total.reply(), "bad_request", false],
    [() => bus.command("nobody", "total", {}).feed([1]).reply(), "unroutable", false],
  ];
  for (const [call, code, mayHaveExecuted] of cases) {
    await assert.rejects(call(), (error: unknown) => {
      assert.ok(error instanceof CallFailed, String(error));
      assert.deepEqual([error.code, error.mayHaveExecuted], [code, mayHaveExecuted], String(error));
      return true;
    });
  }
  await assert.rejects(total.feed(["no number"]).reply(), (error: unknown) => {
    assert.equal((error as HandlerError).error, "it broke off");
    return true;
  });
}

const [amqp, redis, namespace] = process.argv.slice(2) as [string, string, string];
const bus = await Bus.connect(amqp, redis, { namespace, app: "scale.ts" });
for (const contentType of [MSGPACK, JSON_TYPE]) await streams(bus, contentType);
await failures(bus);
assert.equal(await bus.command(SCALE, "plain", {}), 1);
await bus.close();
console.log("all was as it should be");
