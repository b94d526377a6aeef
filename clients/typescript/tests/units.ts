/** The bytes of the protocol, as its page shows them, and what comes from the wire malformed. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as later, setTimeout as sleep } from "node:timers/promises";
import { entry } from "../dist/bundles.js";
import { JSON_TYPE, MSGPACK, contentTypeOf, decode, encode } from "../dist/codec.js";
import { Claims, claimOf } from "../dist/claims.js";
import { CommandRun, type ServedCommand } from "../dist/commands.js";
import { ControlLine } from "../dist/control.js";
import { readEnvelope } from "../dist/envelope.js";
import { CallFailed, HandlerError, RetryLater } from "../dist/errors.js";
import { type Destination, LEVELS, Way, at, atNone, firstAt, nameOf, patternOf, routingKey } from "../dist/levels.js";
import { type Message, malformed, unbundled } from "../dist/message.js";
import { placeOf } from "../dist/method.js";
import { weightOf } from "../dist/members.js";
import { Names } from "../dist/names.js";
import { Line, misplaced, placeIn } from "../dist/partition_line.js";
import { Places } from "../dist/places.js";
import { Reports, decodeProgress, encodeProgress, progressOf } from "../dist/progress.js";
import { fault, group, handlerError, read, value } from "../dist/replies.js";
import { Request } from "../dist/request.js";
import { Retries, policyOf } from "../dist/retries.js";
import type { Scripts } from "../dist/scripts.js";
import { NotOpened, OpeningKey, SealingKey, open, seal } from "../dist/sealed.js";
import { Service } from "../dist/service.js";
import type { Serving } from "../dist/serving.js";
import { Silence } from "../dist/silence.js";
import { Kind, itemsIn, readCredits, readFeedCredit, readFrame, writeCredit, writeFeedCredit, writeFrame, writeItems } from "../dist/stream_frames.js";
import { MISSED, STARTED, says, startedHeaders, unstartedHeaders } from "../dist/waiting.js";

const CALL = "018f6d1c-5e7a-7b3c-8d9e-0f1a2b3c4d5e";
const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
const ENTRY = hex(
  "00000033 000003e8 00 018f6d1c5e7a7b3c8d9e0f1a2b3c4d5e 07 62616c616e6365 01 06 74656e616e74" +
    "0001 62 81 a7 6163636f756e74 a1 61",
);

function message(body: Buffer): Message {
  return { body, persistent: false, redelivered: false, expiration: "3000", headers: { deadline: "5000" } };
}

const plain = (headers: Record<string, unknown>): Message => ({ ...message(Buffer.alloc(0)), headers });

test("replies are those of the page", () => {
  assert.equal(value(MSGPACK, 5).toString("hex"), "82a6737461747573a26f6ba4626f647905");
  assert.equal(value(JSON_TYPE, 5).toString(), '{"status":"ok","body":5}');
  assert.throws(() => read(handlerError(MSGPACK, "no")), HandlerError);
  const late = fault(JSON_TYPE, new CallFailed("expired", "late")).toString();
  assert.equal(late, '{"status":"error","code":"expired","message":"late","may_have_executed":false}');
  for (const frame of ["", "{", "[]", '{"status":"ok"}', "\u0080"]) {
    assert.throws(() => read(Buffer.from(frame)), CallFailed, frame);
  }
});

test("groups come apart", () => {
  const two = hex(`92 92 c410 ${"01".repeat(16)} c402 6f6b 92 c410 ${"02".repeat(16)} c402 6e6f`);
  assert.deepEqual(group(two).map(([, frame]) => Buffer.from(frame).toString()), ["ok", "no"]);
  for (const none of [hex(""), hex("9101"), hex("c1"), two.subarray(0, -1)]) assert.deepEqual(group(none), []);
});

test("bundles are those of the page", () => {
  const method = { queue: "account.requests", name: "balance", isCommand: false, timeout: 2_000 };
  const body = encode(MSGPACK, { account: "a" });
  const request = new Request(method, method.queue, MSGPACK, body, 2_000, undefined, undefined, { tenant: "b" });
  Object.assign(request, { callId: CALL });
  assert.deepEqual(entry(request, 1000), ENTRY);
  const [one] = unbundled(message(ENTRY));
  assert.ok(one);
  assert.deepEqual([one.correlationId, one.type, one.expiration], [CALL, "balance", "2000"]);
  assert.deepEqual(one.headers, { tenant: "b", deadline: "4000" });
  // Cut anywhere it is no bundle, or an entry that is a bad request by itself.
  for (let end = 1; end < ENTRY.length; end++) {
    assert.throws(() => unbundled(message(ENTRY.subarray(0, end))), CallFailed);
    const length = Buffer.alloc(4);
    const data = ENTRY.subarray(4, 4 + end);
    length.writeUInt32BE(data.length);
    for (const cut of unbundled(message(Buffer.concat([length, data])))) {
      assert.ok(malformed(cut) !== undefined || end >= 40, String(end));
    }
  }
});

test("frames are those of the page", () => {
  const items = hex("c1 00 01020304 0000000000000005 00000001 05 00000001 06");
  const frame = readFrame(items);
  assert.ok(frame);
  assert.deepEqual([frame.number, itemsIn(frame)], [5, [hex("05"), hex("06")]]);
  assert.deepEqual(writeItems(0x01020304, 5, [hex("05"), hex("06")]), items);
  const end = writeFrame(Kind.end, 0x01020304, 7, Buffer.alloc(0));
  assert.equal(end.toString("hex"), "c101010203040000000000000007");
  const credit = { callId: CALL, producer: 7, taken: 8, again: true, gone: false };
  assert.deepEqual(readCredits(writeCredit(credit)), [credit]);
  assert.deepEqual(readCredits(Buffer.concat([writeCredit(credit), hex("01")])), []);
});

test("what the reader of an argument says is that of the page", () => {
  const callId = "11111111-1111-1111-1111-111111111111";
  const said = { callId, producer: 0x01020304, taken: 5, again: true, gone: false, holdsClaim: true, inbox: "inbox" };
  const frame = Buffer.concat([hex(`c1 04 01020304 0000000000000005 05 ${"11".repeat(16)}`), Buffer.from("inbox")]);
  assert.deepEqual(writeFeedCredit(said), frame);
  assert.deepEqual(readFeedCredit(frame), said);
  // Whoever reads an answer passes it over.
  assert.equal(readFrame(frame), undefined);
  const bad = [frame.subarray(0, 30), Buffer.concat([frame, Buffer.alloc(255, "x")]), Buffer.concat([hex("c101"), frame.subarray(2)])];
  for (const none of bad) assert.equal(readFeedCredit(none), undefined);
  assert.equal(writeFrame(Kind.wait, 1, 0, Buffer.alloc(0)).toString("hex"), "c105000000010000000000000000");
});

test("a weight is the same everywhere, and a place is read without trust", () => {
  assert.equal(weightOf("07070707-0707-0707-0707-070707070707", 3), 0x6098_a097_c220_c07an);
  for (const header of ["", "8", "/16", "8/", "-8/16", "8/0", "8/257", "4294967296/16", "8/16 ", 8]) {
    assert.equal(placeIn(plain({ "x-replybus-partition": header })), undefined, String(header));
  }
  const at = (partition: number) => ({ ...plain({ "x-replybus-partition": "24/16" }), partition });
  assert.equal(misplaced(at(8), 16), undefined);
  assert.ok(misplaced(at(7), 16) && misplaced(at(8), 8));
});

test("the next of a key is run when the one before is done", async () => {
  const begun: string[] = [];
  const ends = new Map<string, (isDone: boolean) => void>();
  const line = new Line(0, () => undefined);
  const add = (name: string, place: string) =>
    line.add(plain({ "x-replybus-partition": place }), () => {
      begun.push(name);
      return new Promise((resolve) => ends.set(name, resolve));
    });
  add("a", "1/1");
  add("b", "1/1");
  add("c", "2/1");
  add("d", "1/1");
  assert.deepEqual(begun, ["a", "c"]);
  ends.get("a")?.(true);
  while (begun.length < 3) await later();
  // One that is given back ends the line, and what is behind it is not begun.
  ends.get("b")?.(false);
  ends.get("c")?.(true);
  while (line.running > 0) await later();
  assert.ok(line.isEnding);
  assert.deepEqual(begun, ["a", "c", "b"]);
});

test("partitions and names are those of the page", () => {
  const method = { queue: "account.requests", name: "put", isCommand: true, timeout: 1, key: "account", partitions: 16 };
  assert.deepEqual(placeOf(method, { account: "DE-1" }), ["account.requests.8", "848758152/16"]);
  const names = new Names("eu", "replybus:");
  assert.ok(names.isInbox(`replybus:eu.inbox:{${CALL}}`));
  for (const name of ["", "session:admin", `replybus:inbox:{${CALL}}`, `${names.inbox(CALL)}\n`]) {
    assert.ok(!names.isInbox(name), name);
  }
});

/** Whether a topic exchange takes a key by this pattern, whose `#` comes last. */
function selects(pattern: string, key: string): boolean {
  const words = pattern.split(".");
  const keys = key.split(".");
  const some = words.at(-1) === "#" ? words.slice(0, -1) : words;
  const whole = some.length < words.length || some.length === keys.length;
  return whole && some.every((word, place) => word === "*" || word === keys[place]);
}

test("keys and names of delays are those of the page", () => {
  assert.equal(routingKey(4_500, "account.requests"), `${"0.".repeat(22)}1.0.1.account.requests`);
  const way = new Way("bank.replybus.delay");
  assert.equal(way.level(24), "bank.replybus.delay.16777216s");
  assert.deepEqual([way.below(1), way.below(0)], [way.level(0), "bank.replybus.delay.due"]);
  const to: Destination = { exchange: "bank.replybus.events", key: "offer.expired" };
  assert.equal(way.dueQueue(to), "bank.replybus.delay.due.bank.replybus.events:offer.expired");
  way.check(to);
  for (const key of ["", "#", "a.*", "a b", "ä", "x".repeat(206)]) {
    assert.throws(() => way.check({ exchange: "", key }), key);
  }
});

test("every delay is waited for and ends where it should", () => {
  const to = { exchange: "", key: "account.requests" };
  for (const seconds of [0, 1, 2, 3, 5, 86_400, 366 * 86_400, 2 ** LEVELS - 1]) {
    const key = routingKey(seconds * 1_000, nameOf(to));
    const first = Array.from({ length: LEVELS }, (_, level) => level).filter((level) => selects(firstAt(level), key));
    assert.equal(first.length, seconds > 0 ? 1 : 0);
    assert.equal(selects(atNone(), key), seconds === 0);
    let waited = first.reduce((sum, level) => sum + 2 ** level, 0);
    for (let level = (first[0] ?? 0) - 1; level >= 0; level--) {
      const waits = selects(at(level, true), key);
      assert.notEqual(waits, selects(at(level, false), key));
      if (waits) waited += 2 ** level;
    }
    assert.equal(waited, seconds);
    assert.ok(selects(patternOf(to), key));
  }
});

test("a short pause is held and a longer one is not", () => {
  const policy = policyOf({ max: 4, base: 500 });
  let retries = new Retries(plain({}), policy, undefined);
  assert.deepEqual([1, 2].map(() => retries.failed(new RetryLater("away"))), [500, 1_000]);
  assert.equal(retries.due, undefined);
  assert.equal(retries.failed(new RetryLater("two\nlines")), undefined);
  assert.ok(retries.due);
  const headers: Record<string, unknown> = { tenant: "acme", "x-replybus-retry-error-9": "forged" };
  retries.noteIn(headers);
  retries = new Retries(plain({ ...headers }), policy, undefined);
  assert.equal(retries.before, 3);
  assert.equal(retries.failed(new RetryLater({ Busy: 4 }, 7_000)), undefined);
  assert.equal(retries.failed(new RetryLater("x".repeat(300))), undefined);
  assert.ok(retries.isExhausted);
  retries.noteIn(headers);
  const errors = ["away", "away", "twolines", '{"Busy":4}', "x".repeat(256)];
  const said = Object.fromEntries(errors.map((error, run) => [`x-replybus-retry-error-${run + 1}`, error]));
  assert.deepEqual(headers, { tenant: "acme", "x-replybus-retries": "5", ...said });
});

test("no run is planned for when nobody waits for it, and what is forged gives none more", () => {
  for (const [base, left] of [[1_000, 900], [1_100, 1_900]] as const) {
    const retries = new Retries(plain({}), policyOf({ base }), Date.now() + left);
    assert.equal(retries.failed(new RetryLater("away")), undefined);
    assert.deepEqual([retries.due, retries.isExhausted], [undefined, false]);
  }
  for (const runs of ["", "many", "-1", "9".repeat(20), "4294967295", "17", [], null]) {
    const retries = new Retries(plain({ "x-replybus-retries": runs }), policyOf({}), undefined);
    assert.equal(retries.failed(new RetryLater("away")), undefined);
    assert.ok(retries.isExhausted, String(runs));
  }
  for (const policy of [{ max: 0 }, { max: 21 }, { base: 0 }, { maxDelay: 1e12 }]) {
    assert.throws(() => policyOf(policy), RangeError);
  }
});

test("progress is that of every language", () => {
  const written = encodeProgress(progressOf(1, 2, "a"));
  assert.deepEqual(written, hex("83 a4 646f6e65 01 a5 746f74616c 02 a4 6e6f7465 a1 61"));
  for (const said of [progressOf(0), progressOf(2 ** 53 - 1, 0, "ü".repeat(128))]) {
    assert.deepEqual(decodeProgress(encodeProgress(said)), said);
  }
  assert.equal(progressOf(1, null, `a${"ü".repeat(200)}`).note, `a${"ü".repeat(127)}`);
  for (const count of [-1, 1.5, Number.NaN, 2 ** 60]) assert.throws(() => progressOf(count), RangeError);
  for (const noted of ["", "c1", "80", "01", "81a4646f6e65a161", "81a4646f6e65ff", "82a4646f6e6501a46e6f746505"]) {
    assert.equal(decodeProgress(hex(noted)), undefined, noted);
  }
});

test("only the newest report is written, and again if it was not", async () => {
  const written: Buffer[] = [];
  const note = async (_: unknown, progress: Buffer) => {
    written.push(progress);
    if (written.length === 1) throw new Error("Redis is away");
  };
  const [reports, stop] = [new Reports(), new AbortController()];
  for (const done of [0, 1, 2]) reports.report(progressOf(done));
  const claims = { note } as unknown as Claims;
  const writing = reports.write(claims, claimOf("yard"), stop.signal, () => undefined);
  while (written.length < 2) await sleep(10);
  stop.abort();
  await writing;
  assert.deepEqual(written, [encodeProgress(progressOf(2)), encodeProgress(progressOf(2))]);
});

test("a message of a job waits as the page says", () => {
  const headers = { tenant: "a", CC: ["x"], deadline: "1800000000000", [MISSED]: true };
  const names = new Names("", "replybus:");
  for (const replyTo of [undefined, names.inbox(CALL)]) {
    const read = readEnvelope({ ...plain({ ...headers }), correlationId: CALL, replyTo }, names);
    const deadline = replyTo === undefined ? {} : { deadline: headers.deadline };
    const again = { tenant: "a", repeated: true, [STARTED]: true, ...deadline };
    assert.deepEqual(startedHeaders(read, false), again);
    assert.deepEqual(startedHeaders(read, true), { ...again, [MISSED]: true });
    // One that no handler was free for was not started by that.
    assert.deepEqual(unstartedHeaders(read), { tenant: "a", deadline: headers.deadline });
  }
  const read = readEnvelope({ ...plain({}), redelivered: true }, names);
  assert.deepEqual(Object.keys(unstartedHeaders(read)), ["deadline", "x-replybus-due", "repeated"]);
  for (const value of [true, "true"]) assert.ok(says(plain({ [STARTED]: value }), STARTED));
  for (const value of [false, 1, null, [], "yes"]) assert.ok(!says(plain({ [STARTED]: value }), STARTED));
});

test("a job that could not be looked after is refused", () => {
  const yard = new Service("yard.requests");
  const haul = async () => undefined;
  const options = [{ job: 0 }, { job: 8 * 86_400_000 }, { job: 1, retry: {} }, { job: 1, ownRecord: true }, { job: 1, fed: "rows" }];
  for (const option of options) assert.throws(() => yard.command("haul", haul, option));
  assert.throws(() => new Service("yard.requests", "Yard", "classic", 2).command("haul", haul, { job: 1 }));
  assert.ok(!yard.hasJobs && yard.command("haul", haul, { job: 1 }).hasJobs);
});

test("a place is waited for, in turn, and not for ever", async () => {
  const places = new Places(1);
  await places.enter();
  assert.equal(await places.enterWithin(1), false);
  const entered = [places.enterWithin(60_000), places.enterWithin(60_000)];
  places.leave();
  assert.equal(await entered[0], true);
  places.leave();
  assert.equal(await entered[1], true);
  places.leave();
  assert.equal(await places.enterWithin(1), true);
});

test("bodies that are none are refused, and integers keep their digits", () => {
  const bad = [[JSON_TYPE, "[".repeat(9000)], [JSON_TYPE, `${"[".repeat(66)}${"]".repeat(66)}`], [MSGPACK, ""]] as const;
  for (const [type, text] of bad) assert.throws(() => decode(type, Buffer.from(text)));
  assert.throws(() => decode(MSGPACK, Buffer.alloc(9000, 0x91)));
  assert.throws(() => decode(MSGPACK, hex("0101")));
  assert.throws(() => contentTypeOf("application/json; charset=latin-1"));
  assert.equal(contentTypeOf("Application/JSON; charset=UTF-8"), JSON_TYPE);
  for (const number of [2 ** 31, -(2 ** 40), 2 ** 53 - 1, 2n ** 64n - 1n, -(2n ** 63n)]) {
    assert.deepEqual(decode(MSGPACK, encode(MSGPACK, { number })), { number });
    assert.deepEqual(decode(JSON_TYPE, encode(JSON_TYPE, { number })), { number });
  }
  const others = [-0.1234567890123456789, '"1234567890123456789', "\\", { "1234567890123456789": null }];
  assert.deepEqual(decode(JSON_TYPE, encode(JSON_TYPE, others)), others);
  const text = Buffer.from(`[{"a\\"b":9007199254740993},-9007199254740993,1e3,${2n ** 128n - 1n}]`);
  assert.deepEqual(decode(JSON_TYPE, text), [{ 'a"b': 9007199254740993n }, -9007199254740993n, 1000, 2n ** 128n - 1n]);
});

test("silence is what could have been heard and was not", () => {
  let [now, isDeaf] = [0, false];
  const silence = new Silence(() => isDeaf, () => now);
  const after = (milliseconds: number) => {
    now += milliseconds;
    return silence.look();
  };
  for (let second = 1; second <= 40; second++) assert.equal(after(1_000), second * 1_000);
  silence.broken();
  assert.equal(after(1_000), 1_000);
  // An outage is none, and what follows it is counted anew.
  isDeaf = true;
  for (let second = 0; second < 100; second++) assert.ok(after(1_000) < 6_000);
  isDeaf = false;
  for (let second = 1; second <= 20; second++) assert.ok(after(1_000) < second * 1_000 + 6_000);
  // A process that stood still has not listened.
  silence.broken();
  assert.equal(after(1_000_000), 6_000);
});

test("an answer to a claim that is read too late is asked for again", async () => {
  const given = async (lease: number, ...answers: [string, unknown][]) => {
    let asked = 0;
    const run = async () => {
      // The process stands still between the first question and its answer.
      if (asked === 0) await sleep(700);
      const [word, rest] = answers[asked++] as [string, unknown];
      return [[Buffer.from(word), rest]];
    };
    const claims = new Claims({ run } as unknown as Scripts, new Names("", "replybus:"), () => {});
    const claim = { ...claimOf("a"), lease };
    return [await claims.take(claim, Date.now() + 100, () => false), asked] as const;
  };
  const frame = Buffer.from("frame");
  assert.deepEqual(await given(3_000, ["running", undefined], ["done", frame]), [{ frame }, 2]);
  const [refused, times] = await given(3_000, ["running", undefined], ["running", undefined]);
  assert.ok("refused" in refused && times === 2, JSON.stringify(refused));
  // A claim that has lapsed by then begins nothing; one that only counts does not lapse.
  assert.deepEqual(await given(600, ["run", 1], ["done", frame]), [{ frame }, 2]);
  assert.deepEqual(await given(0, ["run", 2]), [{ attempt: 2 }, 1]);
});

test("sealed values are those of the page", async () => {
  // Sealed by another implementation: docs/wire-protocol.md.
  const shown =
    "AQhsb2dpbnMtMYgZJS/Azi5i1Mh8tZ3QEXtcWRShVeGz6i41NzulbKYeq0oy4bzQw1zrDY+u/02uwLHL4yaX5IEpVUrmhprtdgzTlGBYI9BL" +
    "bLiIl8L3SRkzSWHGTeJA/c/u6U8mDOrao4EQd7PCz4FYhRsl6On45yE=";
  assert.equal(await open(shown, new OpeningKey("logins-1", Buffer.alloc(32, 7)), "log in ada"), "correct horse");
});

test("a sealed value is opened by its key, for its purpose, and as it was", async () => {
  const first = OpeningKey.generate("a");
  const both = OpeningKey.generate("a").replacing(first);
  for (const key of [first, both]) {
    const sealed = await seal({ card: "4111", cents: 5 }, key.sealingKey(), "charge 17");
    assert.deepEqual(await open(sealed, both, "charge 17"), { card: "4111", cents: 5 });
    assert.notEqual(sealed, await seal({ card: "4111", cents: 5 }, key.sealingKey(), "charge 17"));
  }
  const data = Buffer.from(await seal(1, first.sealingKey(), "charge 17"), "base64");
  assert.equal(await open(data, first, "charge 17"), 1);
  const flipped = (place: number) => data.map((byte, at) => (at === place ? byte ^ 0x80 : byte));
  const refused: [string | Uint8Array, OpeningKey, string][] = [
    [data, first, "charge 18"],
    [data, OpeningKey.generate("b"), "charge 17"],
    [data, OpeningKey.generate("a"), "charge 17"],
    ["hunter2", first, "charge 17"],
  ];
  for (let place = 0; place < data.length; place++) {
    refused.push([data.subarray(0, place), first, "charge 17"], [flipped(place), first, "charge 17"]);
  }
  for (const [sealed, key, purpose] of refused) await assert.rejects(open(sealed, key, purpose), NotOpened);
  const lengths = await Promise.all([1, 50, 60].map((length) => seal("x".repeat(length), first.sealingKey(), "")));
  assert.deepEqual(lengths.map((sealed) => sealed.length === lengths[0]!.length), [true, true, false]);
});

test("keys to seal with are in files as openssl writes them", async () => {
  const secret = "MC4CAQAwBQYDK2VuBCIEIDB9NuwlRooeiqFNM5a10DzrvZ8Dd/cKwbSY47JI10Jo";
  const pem = `-----BEGIN PRIVATE KEY-----\n${secret}\n-----END PRIVATE KEY-----\n`;
  const key = OpeningKey.fromPem("a", pem);
  assert.equal(key.toPem(), pem);
  const sealing = SealingKey.fromPem("a", key.sealingKey().toPem());
  assert.equal(await open(await seal(1, sealing, "p"), key, "p"), 1);
  for (const bad of ["", "hunter2", pem]) assert.throws(() => SealingKey.fromPem("a", bad));
  for (const name of ["", "a b", "ä", "x".repeat(65)]) assert.throws(() => OpeningKey.generate(name), TypeError);
});

/** The control line of an instance that is announced and learns what was given up by these. */
function lineOf(run: () => Promise<void>, begin: () => Promise<void>): ControlLine {
  const redis = { time: async () => [0, 0], zadd: async () => 1 };
  const bus = { names: new Names("", "replybus:"), scripts: { run }, redis, app: "a" };
  const serving = { bus, service: { queue: "a.requests", name: "a" }, instance: "i", inFlight: 0, isStopping: false, begin };
  return new ControlLine(serving as unknown as Serving);
}

test("nothing is begun before it is known what was given up", async () => {
  const steps: string[] = [];
  let answer = () => {};
  const answered = new Promise<void>((resolve) => (answer = resolve));
  const run = async () => {
    steps.push("announced");
    await answered;
  };
  const control = lineOf(run, async () => void steps.push("learnt"));
  const stop = new AbortController();
  // Its own announcement is under way, as when a process goes on that stood still.
  const beating = control.announce(stop.signal);
  await later();
  let isDone = false;
  const waiting = control.beSeen().then(() => (isDone = true));
  await sleep(50);
  assert.deepEqual([steps, isDone], [["announced"], false]);
  answer();
  await waiting;
  await control.beSeen();
  assert.deepEqual(steps, ["announced", "learnt"]);
  stop.abort();
  await beating;
});

test("who was not seen in vain tries again when redis has answered", async () => {
  const steps: string[] = [];
  let isAway = true;
  const run = async () => {
    steps.push("announced");
    if (isAway) throw new Error("away");
  };
  const control = lineOf(run, async () => void steps.push("learnt"));
  await control.beSeen();
  await control.beSeen();
  assert.deepEqual(steps, ["announced"]);
  isAway = false;
  await control.beSurelySeen();
  await control.beSurelySeen();
  assert.deepEqual(steps, ["announced", "announced", "learnt"]);
});

test("a command that was given up by the time of its claim is not begun", async () => {
  let isCancelled = false;
  let released = 0;
  const serving = {
    service: { queue: "a.requests" },
    claims: { take: async () => ({ attempt: 1 }), release: async () => void released++ },
    control: { beSurelySeen: async () => void (isCancelled = true) },
    held: { isCancelled: () => isCancelled },
    isStopping: false,
  };
  const handler = () => assert.fail("it was begun");
  const served = { kind: "command", name: "trade", handler } as unknown as ServedCommand;
  const read = readEnvelope({ ...message(encode(MSGPACK, {})), type: "trade", correlationId: CALL }, new Names("", "replybus:"));
  const { error } = await new CommandRun(serving as unknown as Serving, served, read, 1).outcome();
  assert.ok(error instanceof CallFailed, String(error));
  assert.deepEqual([error.code, error.mayHaveExecuted, released], ["cancelled", false, 1]);
});
