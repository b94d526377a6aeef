/** What goes wrong in handlers, messages and servers, and does not stay with them. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { contextOf, readEnvelope } from "../dist/envelope.js";
import { CallFailed, reasonOf, stackOf } from "../dist/errors.js";
import type { Message } from "../dist/message.js";
import { Names } from "../dist/names.js";
import { answered } from "../dist/runs.js";
import type { Serving } from "../dist/serving.js";

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
  const read = readEnvelope(message(), names);
  const context = contextOf(read, 1, new AbortController().signal);
  for (const thrown of [undefined, null, nothing, Symbol("odd"), 5, new Error("odd")]) {
    const handler = () => Promise.reject(thrown);
    const served = { name: "run", kind: "query", handler } as const;
    const { error } = await answered(serving, served, read, context, {});
    assert.equal((error as CallFailed).code, "panicked");
    assert.ok(stackOf(thrown) && reasonOf(thrown));
  }
});
