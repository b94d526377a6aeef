/** Calls a depot in Rust: later, and where it puts commands off. Run by the tests of the workspace. */

import assert from "node:assert/strict";
import { Bus, Call, CallFailed, type ContentType, HandlerError, JSON_TYPE, type Later, MSGPACK, type Ticket } from "replybus";

const DEPOT = "depot.requests";

function failed(code: string) {
  return (error: unknown) => {
    assert.ok(error instanceof CallFailed, String(error));
    assert.deepEqual([error.code, error.mayHaveExecuted], [code, false], String(error));
    return true;
  };
}

async function later(bus: Bus, contentType: ContentType): Promise<void> {
  const stamp = bus.command<number>(DEPOT, "stamp", {}, { contentType });
  const done = async (when: Later) => {
    const ticket = await stamp.submit(when);
    return (await bus.wait(JSON.parse(JSON.stringify(ticket)) as Ticket)) as number;
  };
  const due = Date.now() + 1_000;
  assert.ok((await done({ after: 1_000 })) >= due);
  const at = new Date(Date.now() + 1_000);
  assert.ok((await done({ at })) >= at.getTime());
  // One that has passed is now.
  assert.ok(await done({ at: new Date(0) }));
  await stamp.send({ after: 3_600_000 });
  const ticket = await bus.command(DEPOT, "stamp", {}, { contentType, idempotencyKey: contentType }).submit({ after: 3_600_000 });
  assert.deepEqual(await bus.cancel(ticket), { state: "never_started" });
  await assert.rejects(bus.wait(ticket), failed("cancelled"));
  await bus.emit("depot.late", { due_ms: Date.now() + 1_000 }, { after: 1_000, contentType });
}

async function refused(bus: Bus): Promise<void> {
  const cases: [string, Later, string][] = [
    [DEPOT, { after: 400 * 86_400_000 }, "bad_request"],
    [DEPOT, { after: Number.NaN }, "bad_request"],
    [DEPOT, { after: 1_000, at: new Date() }, "bad_request"],
    ["nobody", { after: 1_000 }, "unroutable"],
    ["no queue", { after: 1_000 }, "bad_request"],
    ["q".repeat(200), { after: 1_000 }, "bad_request"],
  ];
  for (const [queue, when, code] of cases) {
    await assert.rejects(bus.command(queue, "stamp", {}).send(when), failed(code));
  }
}

async function putOff(bus: Bus, contentType: ContentType): Promise<void> {
  const call = (method: string, fails: number, key: string) =>
    bus.command(DEPOT, method, { fails }, { timeout: 30_000, idempotencyKey: `${contentType}-${key}`, contentType });
  assert.equal(await call("stubborn", 2, "short"), 3);
  assert.equal(await call("patient", 1, "long"), 2);
  await assert.rejects(call("stubborn", 9, "vain").reply(), (error: unknown) => {
    assert.deepEqual((error as HandlerError).error, { Busy: 4 });
    return true;
  });
}

const [amqp, redis, namespace] = process.argv.slice(2) as [string, string, string];
const bus = await Bus.connect(amqp, redis, { namespace, app: "depot.ts" });
for (const contentType of [MSGPACK, JSON_TYPE]) {
  await later(bus, contentType);
  await putOff(bus, contentType);
}
await refused(bus);
const noted = { queue: DEPOT, name: "noted", isCommand: true, isRecorded: false, timeout: 5_000 };
const ticket = await new Call(bus, noted, { dies: false }, { idempotencyKey: "n" }).submit();
assert.deepEqual([ticket.recorded, await bus.wait(ticket)], [false, 1]);
assert.deepEqual(await bus.cancel(ticket), { state: "told" });
await bus.close();
console.log("all was as it should be");
