/** Calls a service in Rust in all ways that there are: run by the tests of the workspace. */

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Bus, CallFailed, type ContentType, HandlerError, JSON_TYPE, MSGPACK, type Ticket } from "replybus";

const DESK = "desk.requests";
const NOTE = { text: "ü €", numbers: [-1, 0, 2 ** 40], largest: 2 ** 53 - 1, share: 0.5 };

function failed(code: string, mayHaveExecuted: boolean) {
  return (error: unknown) => {
    assert.ok(error instanceof CallFailed, String(error));
    assert.deepEqual([error.code, error.mayHaveExecuted], [code, mayHaveExecuted]);
    return true;
  };
}

function handler(wanted: unknown) {
  return (error: unknown) => {
    assert.ok(error instanceof HandlerError, String(error));
    assert.deepEqual(error.error, wanted);
    return true;
  };
}

async function valuesAndErrors(bus: Bus, contentType: ContentType): Promise<void> {
  const note = { ...NOTE, inner: { ...NOTE, inner: null } };
  assert.deepEqual(await bus.query(DESK, "echo", { note }, { contentType }), note);
  const add = (amount: number, key: string) =>
    bus.command(DESK, "add", { to: contentType, amount }, { idempotencyKey: `${contentType}-${key}`, contentType });
  assert.equal(await add(60, "a"), 60);
  assert.equal(await add(60, "a"), 60);
  await assert.rejects(add(60, "full").reply(), handler({ Full: 100 }));
  await assert.rejects(add(60, "full").reply(), handler({ Full: 100 }));
  await assert.rejects(add(61, "a").reply(), failed("key_conflict", false));
  await assert.rejects(add(-1, "b").reply(), failed("bad_request", false));
}

async function failures(bus: Bus): Promise<void> {
  await assert.rejects(bus.query("nobody", "echo", {}).reply(), failed("unroutable", false));
  await assert.rejects(bus.query(DESK, "no", {}).reply(), failed("unknown_method", false));
  await assert.rejects(bus.query(DESK, "wait", {}, { timeout: 200 }).reply(), (error: unknown) => {
    assert.ok(error instanceof CallFailed && error.mayHaveExecuted, String(error));
    return ["timed_out", "cancelled"].includes(error.code);
  });
}

async function streams(bus: Bus): Promise<void> {
  const numbers: unknown[] = [];
  for await (const number of bus.stream(DESK, "count", { to: 900 }, { window: 512 })) numbers.push(number);
  assert.deepEqual(numbers, [...Array(900).keys()]);
  const found: unknown[] = [];
  const full = async () => {
    const call = bus.stream(DESK, "count", { to: 2000 }, { contentType: JSON_TYPE });
    for await (const number of call) found.push(number);
  };
  await assert.rejects(full(), handler({ Full: 1000 }));
  assert.deepEqual(found, [...Array(1000).keys()]);
  for await (const first of bus.stream(DESK, "count", { to: 2 ** 31 })) {
    assert.equal(first, 0);
    break;
  }
}

async function cancels(bus: Bus): Promise<void> {
  const before = await bus.query(DESK, "cancelled", {});
  const abort = new AbortController();
  const waiting = bus.query(DESK, "wait", {}, { timeout: 30_000, signal: abort.signal }).reply();
  await sleep(200);
  abort.abort();
  await assert.rejects(waiting, failed("cancelled", true));
  while ((await bus.query(DESK, "cancelled", {})) === before) await sleep(10);
  const submit = async () => {
    const ticket = await bus.command(DESK, "work", {}).submit();
    return JSON.parse(JSON.stringify(ticket)) as Ticket;
  };
  let ticket = await submit();
  while ((await bus.cancel(ticket)).state === "never_started") {
    ticket = await submit();
    await sleep(200);
  }
  assert.equal(await bus.wait(ticket), "told");
  assert.deepEqual(await bus.cancel(ticket), { state: "done", value: "told" });
  assert.deepEqual(await bus.poll(ticket), { value: "told" });
}

const [amqp, redis, namespace] = process.argv.slice(2) as [string, string, string];
const trace = () => ({ traceparent: `00-${"ab".repeat(16)}-${"cd".repeat(8)}-01` });
const bus = await Bus.connect(amqp, redis, { namespace, app: "caller.ts", trace });
for (const contentType of [MSGPACK, JSON_TYPE]) await valuesAndErrors(bus, contentType);
const large = { ...NOTE, largest: 2n ** 64n - 1n, inner: null };
assert.deepEqual(await bus.query(DESK, "echo", { note: large }), large);
await failures(bus);
await streams(bus);
await cancels(bus);
const calls = Array.from({ length: 300 }, () => bus.query(DESK, "cancelled", {}, { timeout: 20_000 }));
assert.equal(new Set(await bus.gather(calls)).size, 1);
assert.ok(bus.bundles.mayBe(DESK));
const who = await bus.query(DESK, "who", {}, { metadata: { tenant: "b" }, priority: "high" });
assert.deepEqual(who, { caller: "caller.ts", tenant: "b", trace: "ab".repeat(16) });
await bus.command(DESK, "add", { to: "sent", amount: 1 }).send();
while ((await bus.command(DESK, "add", { to: "sent", amount: 0 })) !== 1) await sleep(10);
await bus.close();
console.log("all was as it should be");
