/** What goes wrong in handlers, messages and servers, and does not stay with them. */

import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { createRequire } from "node:module";
import { type AddressInfo, type Socket, createServer } from "node:net";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { setImmediate as later } from "node:timers/promises";
import type { ConsumeMessage } from "amqplib";
import { Bus } from "../dist/bus.js";
import { Bundles } from "../dist/bundles.js";
import { Call } from "../dist/call.js";
import { JSON_TYPE, MSGPACK, decode } from "../dist/codec.js";
import { contextOf, readEnvelope } from "../dist/envelope.js";
import { CallFailed, HandlerError, reasonOf, stackOf } from "../dist/errors.js";
import { makeReadable } from "../dist/frames.js";
import { gather } from "../dist/gather.js";
import { Link } from "../dist/link.js";
import { type Message, malformed } from "../dist/message.js";
import { Names } from "../dist/names.js";
import { Producer } from "../dist/producer.js";
import { fault, read, value } from "../dist/replies.js";
import { answered } from "../dist/runs.js";
import type { Serving } from "../dist/serving.js";
import { Silence } from "../dist/silence.js";
import { StreamCall } from "../dist/stream.js";
import { Kind, WINDOW, itemsIn, readFrame } from "../dist/stream_frames.js";
import { Subscription } from "../dist/subscription.js";

const CALL = "018f6d1c-5e7a-7b3c-8d9e-0f1a2b3c4d5e";
const names = new Names("", "replybus:");
const quiet = () => undefined;

const message = (more: Partial<Message> = {}): Message => ({
  body: Buffer.from([0x80]),
  type: "run",
  correlationId: CALL,
  persistent: false,
  redelivered: false,
  headers: {},
  ...more,
});

test("a handler that throws what is no error has panicked", async () => {
  const nothing = Object.create(null) as unknown;
  const serving = { bus: { link: { log: quiet } } } as unknown as Serving;
  const envelope = readEnvelope(message(), names);
  const context = contextOf(envelope, 1, new AbortController().signal);
  for (const thrown of [undefined, null, nothing, Symbol("odd"), 5, new Error("odd")]) {
    const handler = () => Promise.reject(thrown);
    const served = { name: "run", kind: "query", handler } as const;
    const { error } = await answered(serving, served, envelope, context, {});
    assert.equal((error as CallFailed).code, "panicked");
    assert.ok(stackOf(thrown) && reasonOf(thrown));
  }
});

/** What comes of a stream at its reader: its items, and the error that it ends with. */
async function produced(items: () => AsyncIterable<unknown>, contentType = MSGPACK) {
  const found: unknown[] = [];
  let over!: (end: Buffer) => void;
  const ended = new Promise<Buffer>((resolve) => {
    over = resolve;
  });
  const call = async (_: string, entry: unknown[]) => {
    const frame = entry.at(-1) as Buffer;
    const one = readFrame(frame);
    if (one?.kind !== Kind.items) over(frame);
    else found.push(...itemsIn(one).map((item) => decode(contentType, item)));
  };
  const way = { inbox: "inbox", name: CALL, number: 1 };
  const producer = new Producer({ call } as never, way, WINDOW, contentType, new Silence(() => false), quiet);
  producer.start(items, undefined, quiet);
  const end = readFrame(await ended);
  producer.end();
  let error: unknown;
  try {
    if (end?.kind === Kind.fault) read(end.rest);
  } catch (failed) {
    error = failed;
  }
  return { found, code: (error as CallFailed | undefined)?.code };
}

test("a stream whose error can't be sent has an end", async () => {
  const endless: unknown[] = [];
  endless.push(endless);
  async function* fails() {
    yield 5;
    throw new HandlerError(undefined);
  }
  assert.deepEqual(await produced(fails, JSON_TYPE), { found: [5], code: "bad_reply" });
  async function* odd() {
    yield 5;
    yield endless;
  }
  assert.deepEqual(await produced(odd, JSON_TYPE), { found: [5], code: "bad_reply" });
  const none = () => {
    throw undefined;
  };
  assert.deepEqual(await produced(none), { found: [], code: "panicked" });
});

test("a Redis that says nothing is connected to again", async (t) => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => sockets.push(socket.resume()));
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo;
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const url = `redis://127.0.0.1:${port}`;
  let failed: unknown;
  const connecting = Bus.connect("amqp://127.0.0.1:1", url, { log: quiet });
  connecting.catch((error: unknown) => {
    failed = error;
  });
  const until = async (isThere: () => boolean) => {
    for (let waited = 0; !isThere() && waited < 60_000; waited += 10) {
      t.mock.timers.tick(10);
      await later();
    }
  };
  // One for what is asked, and one for the inbox.
  await until(() => sockets.length >= 4);
  silent.close();
  for (const socket of sockets) socket.destroy();
  await until(() => failed !== undefined);
  assert.ok(sockets.length >= 4, `${sockets.length} connections`);
  assert.ok(failed instanceof Error);
});

/** A broker that is away until it is told to come, and never confirms; what is written to it, and who is told. */
function caller(t: TestContext) {
  const written: unknown[] = [];
  const told: string[] = [];
  const link = new Link("amqp://127.0.0.1:1", quiet);
  t.after(() => link.close());
  let come = (_: unknown): void => undefined;
  const confirming = new Promise((resolve) => {
    come = resolve;
  });
  Object.assign(link, { confirming });
  const channel = { on: quiet, off: quiet, publish: (...all: unknown[]) => written.push(all) };
  const bus = {
    link,
    names,
    app: "node",
    bundles: new Bundles(),
    inbox: { name: names.inbox(CALL), waiting: () => quiet },
    cancels: { tell: (queue: string) => told.push(queue) },
    isDeaf: () => false,
  } as unknown as Bus;
  const method = { queue: "desk.requests", name: "run", isCommand: true, timeout: 5_000 };
  const make = (signal: AbortSignal) => new Call(bus, method, {}, { signal });
  const stream = (signal: AbortSignal) => new StreamCall(bus, method, {}, { signal })[Symbol.asyncIterator]().next();
  return { bus, written, told, make, stream, comes: () => come({ channel, undecided: 0 }) };
}

const isCancelled = (mayHaveExecuted: boolean) => (error: unknown) => {
  assert.ok(error instanceof CallFailed, String(error));
  assert.deepEqual([error.code, error.mayHaveExecuted], ["cancelled", mayHaveExecuted]);
  return true;
};

test("a call that was given up before it is made is not made", async (t) => {
  const { bus, written, make, stream, comes } = caller(t);
  comes();
  const signal = AbortSignal.abort();
  await assert.rejects(make(signal).reply(), isCancelled(false));
  await assert.rejects(make(signal).submit(), isCancelled(false));
  await assert.rejects(make(signal).send({ after: 60_000 }), isCancelled(false));
  await assert.rejects(make(signal).feed([1]).reply(), isCancelled(false));
  await assert.rejects(stream(signal), isCancelled(false));
  isCancelled(false)((await gather(bus, [make(signal)]))[0]);
  assert.deepEqual(written, []);
});

test("a call that is given up while the broker is away is not written when it comes", async (t) => {
  const { written, told, make, stream, comes } = caller(t);
  const giving = new AbortController();
  const { signal } = giving;
  const calls = [make(signal).reply(), make(signal).submit(), make(signal).feed([1]).reply(), stream(signal)];
  const ends = calls.map((call) => assert.rejects(call, isCancelled(false)));
  await later();
  giving.abort();
  await Promise.all(ends);
  comes();
  await later();
  assert.deepEqual([written, told], [[], []]);
});

test("a call that is given up when it was written is cancelled, and does not wait for the broker", async (t) => {
  const { written, told, make, comes } = caller(t);
  const giving = new AbortController();
  const ended = assert.rejects(make(giving.signal).reply(), isCancelled(true));
  comes();
  while (written.length === 0) await later();
  giving.abort();
  await ended;
  assert.deepEqual(told, ["desk.requests"]);
});

/** A frame with these headers, as the broker sends it. */
function headerFrame(headers: Buffer): Buffer {
  const [head, length, content] = [Buffer.alloc(7), Buffer.alloc(4), Buffer.alloc(14)];
  content.writeUInt16BE(60);
  content.writeUInt16BE(0xa000, 12);
  length.writeUInt32BE(headers.length);
  const payload = Buffer.concat([content, Buffer.from("\u0004json"), length, headers]);
  head.writeUInt8(2);
  head.writeUInt32BE(payload.length, 3);
  return Buffer.concat([head, payload, Buffer.from([0xce])]);
}

/** A header that is so many arrays in each other. */
function nested(depth: number): Buffer {
  const levels = Array.from({ length: depth }, (_, above) => {
    const level = Buffer.from("A....");
    level.writeUInt32BE(5 * (depth - above - 1) + 1, 1);
    return level;
  });
  return Buffer.concat([Buffer.from("\u0004deep"), ...levels, Buffer.from("V")]);
}

test("headers that nest too deep are taken out, and do not end the connection", () => {
  const require = createRequire(import.meta.url);
  const wire = require(join(dirname(require.resolve("amqplib")), "lib/frame.js"));
  const decoded = (frame: Buffer): ConsumeMessage["properties"] => {
    makeReadable(frame);
    return wire.decodeFrame(wire.parseFrame(frame, 0)).fields;
  };
  const said = decoded(headerFrame(nested(26_000)));
  assert.equal(said.contentType, "json");
  assert.ok(malformed(message({ headers: said.headers ?? {} })));
  // The table of the headers is counted.
  assert.deepEqual(Object.keys(decoded(headerFrame(nested(31))).headers ?? {}), ["deep"]);
  assert.ok(malformed(message({ headers: decoded(headerFrame(nested(32))).headers ?? {} })));
  const all = "\u0001aV\u0001bt\u0001\u0001cS\0\0\0\u0001x\u0001dF\0\0\0\u0003\u0001eV";
  assert.deepEqual(decoded(headerFrame(Buffer.from(all))).headers, { a: null, b: true, c: "x", d: { e: null } });
  // What is cut anywhere is not looked at, or has headers that are taken out.
  const whole = headerFrame(nested(40));
  for (let end = 0; end < whole.length; end++) makeReadable(Buffer.from(whole.subarray(0, end)));
  const tooLong = Buffer.from("\u0003oddS\0\0\0\u0009x");
  assert.ok(malformed(message({ headers: decoded(headerFrame(tooLong)).headers ?? {} })));
});

test("an event without an id that kills its workers is run five times", async () => {
  for (const [runsBefore, isRun] of [[1, true], [4, true], [5, false]] as const) {
    const [asked, released, events, letters]: [string[], string[], unknown[], string[]] = [[], [], [], []];
    const claims = {
      take: async ({ name }: { name: string }) => ({ attempt: asked.push(name) === 1 ? runsBefore : 1 }),
      keep: async () => undefined,
      release: async ({ name }: { name: string }) => released.push(name),
      finish: async () => true,
    };
    const bus = { names, link: { log: quiet }, scripts: {} };
    const handler = async (event: unknown) => void events.push(event);
    const group = Object.create(Subscription.prototype);
    Object.assign(group, {
      bus,
      claims,
      handler,
      group: "notes",
      event: "noted",
      stopping: new AbortController(),
      letters: { keep: async (_: unknown, { code }: { code: string }) => void letters.push(code) },
    });
    const again = message({ body: Buffer.from([5]), type: "noted", redelivered: true, messageId: "x".repeat(65) });
    assert.equal(await group.handled(again, "noted"), true);
    assert.deepEqual([events, letters], isRun ? [[5], []] : [[], ["interrupted"]]);
    assert.match(asked[0] ?? "", /^event:notes:delivery:[0-9a-f]{32}$/);
    assert.deepEqual(released, asked.slice(0, 1));
  }
});

test("of calls that are sent again only the one that failed says so", async (t) => {
  const { bus, make } = caller(t);
  const waiters = new Map<string, (frame: Uint8Array) => void>();
  const running: string[] = [];
  let published = 0;
  const publish = async (_: string, __: Buffer, { correlationId = "" }: { correlationId?: string }) => {
    published += 1;
    if (published === 1) waiters.get(correlationId)?.(fault(MSGPACK, new CallFailed("unknown_method", "it takes none", false)));
    else if (published === 2) throw new CallFailed("overloaded", "the queue is full", false);
    else running.push(correlationId);
  };
  const waiting = (id: string, waiter: (frame: Uint8Array) => void) => {
    waiters.set(id, waiter);
    return quiet;
  };
  Object.assign(bus, { link: { publish }, inbox: { name: names.inbox(CALL), waiting } });
  bus.bundles.heard("desk.requests", true);
  const { signal } = new AbortController();
  const gathering = gather(bus, [make(signal), make(signal)]);
  while (running.length === 0) await later();
  await later();
  waiters.get(running[0] ?? "")?.(value(MSGPACK, 5));
  const [failed, answer] = await gathering;
  assert.deepEqual([(failed as CallFailed).code, answer], ["overloaded", 5]);
});

test("the only publish that a channel is closed over was refused", async (t) => {
  const { bus } = caller(t);
  const none = Object.assign(new Error("no exchange"), { code: 404 });
  const onChannel = () => {
    const channel = Object.assign(new EventEmitter(), { publish: quiet });
    const confirming = { channel, undecided: 0, refusal: undefined as unknown };
    Object.assign(bus.link, { confirming: Promise.resolve(confirming) });
    return { close: () => (confirming.refusal = none) && channel.emit("close") };
  };
  const publish = () => bus.link.publish("a", Buffer.alloc(0), {}, 5_000, "events").catch((error: CallFailed) => error);
  // Nothing says which of several it was.
  for (const [count, code, mayHaveExecuted] of [[2, "disconnected", true], [1, "unroutable", false]] as const) {
    const { close } = onChannel();
    const publishing = Array.from({ length: count }, publish);
    await later();
    close();
    for (const failed of (await Promise.all(publishing)) as CallFailed[]) {
      assert.deepEqual([failed.code, failed.mayHaveExecuted], [code, mayHaveExecuted]);
    }
  }
});
