/** The bytes of the protocol, as its page shows them, and what comes from the wire malformed. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { entry } from "../dist/bundles.js";
import { JSON_TYPE, MSGPACK, contentTypeOf, decode, encode } from "../dist/codec.js";
import { CallFailed, HandlerError } from "../dist/errors.js";
import { type Message, malformed, unbundled } from "../dist/message.js";
import { placeOf } from "../dist/method.js";
import { Names } from "../dist/names.js";
import { fault, group, handlerError, read, value } from "../dist/replies.js";
import { Request } from "../dist/request.js";
import { Kind, itemsIn, readCredits, readFrame, writeCredit, writeFrame, writeItems } from "../dist/stream_frames.js";

const CALL = "018f6d1c-5e7a-7b3c-8d9e-0f1a2b3c4d5e";
const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
const ENTRY = hex(
  "00000033 000003e8 00 018f6d1c5e7a7b3c8d9e0f1a2b3c4d5e 07 62616c616e6365 01 06 74656e616e74" +
    "0001 62 81 a7 6163636f756e74 a1 61",
);

function message(body: Buffer): Message {
  return { body, persistent: false, redelivered: false, expiration: "3000", headers: { deadline: "5000" } };
}

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

test("partitions and names are those of the page", () => {
  const method = { queue: "account.requests", name: "put", isCommand: true, timeout: 1, key: "account", partitions: 16 };
  assert.deepEqual(placeOf(method, { account: "DE-1" }), ["account.requests.8", "848758152/16"]);
  const names = new Names("eu", "replybus:");
  assert.ok(names.isInbox(`replybus:eu.inbox:{${CALL}}`));
  for (const name of ["", "session:admin", `replybus:inbox:{${CALL}}`, `${names.inbox(CALL)}\n`]) {
    assert.ok(!names.isInbox(name), name);
  }
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
  }
});
