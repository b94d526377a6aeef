/** A reply, as it travels. */

import { decode as unpack } from "@msgpack/msgpack";
import { type ContentType, REPLY_BYTES_MAX, contentTypeIn, decode, encode } from "./codec.js";
import { CallFailed, HandlerError } from "./errors.js";
import { idOf } from "./names.js";

/** A reply that was read; `takesBundles` is what its service said. */
export interface Reply {
  body: unknown;
  takesBundles: boolean;
}

/** The reply in a frame; throws the error in it, or `bad_reply`. */
export function read(frame: Uint8Array, isRepeated = false): Reply {
  let reply: unknown;
  try {
    reply = decode(contentTypeIn(frame), frame);
  } catch (error) {
    throw new CallFailed("bad_reply", `the reply can't be read: ${String(error)}`, true);
  }
  const of = isMap(reply) ? reply : {};
  if (of["status"] === "ok" && "body" in of) {
    return { body: of["body"], takesBundles: "us" in of };
  }
  const { code, message, may_have_executed: executed, retry_after_ms: after } = of;
  if (of["status"] !== "error" || typeof code !== "string") {
    throw new CallFailed("bad_reply", "the reply is no reply", true);
  }
  if (code === "handler") throw new HandlerError(of["body"]);
  throw new CallFailed(
    code,
    String(message ?? ""),
    // A no is said of one copy of several.
    isRepeated ? true : typeof executed === "boolean" ? executed : undefined,
    typeof after === "number" ? after : undefined,
  );
}

/** True of what can be looked into by names. */
export function isMap(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** The frame of a value; `us` tells a caller that bundles are taken. Throws if it can't be sent. */
export function value(type: ContentType, body: unknown, us?: number): Buffer {
  return bounded(encode(type, { status: "ok", body: body ?? null, ...(us === undefined ? {} : { us }) }));
}

/** The frame of the handler's own error. Throws if it can't be sent. */
export function handlerError(type: ContentType, error: unknown, us?: number): Buffer {
  const reply = { status: "error", code: "handler", body: error ?? null };
  return bounded(encode(type, { ...reply, ...(us === undefined ? {} : { us }) }));
}

/** The frame of anything else. */
export function fault(type: ContentType, failed: CallFailed): Buffer {
  return encode(type, {
    status: "error",
    code: failed.code,
    message: failed.reason,
    may_have_executed: failed.mayHaveExecuted,
    ...(failed.retryAfter === undefined ? {} : { retry_after_ms: Math.ceil(failed.retryAfter) }),
  });
}

function bounded(frame: Buffer): Buffer {
  if (frame.length > REPLY_BYTES_MAX) {
    throw new RangeError(`it has ${frame.length} bytes, ${REPLY_BYTES_MAX} are allowed`);
  }
  return frame;
}

/** The replies in a group: ids and frames. What is no group has none. */
export function group(data: Uint8Array): [string, Uint8Array][] {
  try {
    const pairs = unpack(data) as [Uint8Array, Uint8Array][];
    return pairs.map(([id, frame]) => {
      if (id.length !== 16) throw new TypeError("it is no id");
      return [idOf(id), frame];
    });
  } catch {
    return [];
  }
}
