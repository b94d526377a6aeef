/** The two encodings of bodies, and what of them is refused. */

import { randomUUID } from "node:crypto";
import { Decoder, Encoder } from "@msgpack/msgpack";

export type ContentType = "application/msgpack" | "application/json";

export const MSGPACK: ContentType = "application/msgpack";
export const JSON_TYPE: ContentType = "application/json";

/** Bytes of the body of a request, and of a reply with all that is around it. */
export const REQUEST_BYTES_MAX = 262_144;
export const REPLY_BYTES_MAX = 1_048_576;
/** Values in each other in a body. */
const DEPTH_MAX = 64;

/** Begins the text that a bigint is for JSON.stringify and JSON.parse. Nobody else knows it. */
const MARK = `${randomUUID()}:`;
const MARKED = new RegExp(`"${MARK}(-?\\d+)"`, "g");
/** Strings and numbers, one after the other, in a text that is JSON. */
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;

/** A value as bytes. Integers beyond 2^53 are bigints. Throws if it has no such form. */
export function encode(type: ContentType, value: unknown): Buffer {
  if (type === JSON_TYPE) {
    const text = JSON.stringify(value, (_, one: unknown) => (typeof one === "bigint" ? `${MARK}${one}` : one));
    if (text === undefined) throw new TypeError("it has no form in JSON");
    return Buffer.from(text.replace(MARKED, "$1"));
  }
  const encoder = new Encoder({ ignoreUndefined: true, useBigInt64: true, maxDepth: DEPTH_MAX + 4 });
  return Buffer.from(encoder.encode(plain(value)));
}

/** The one value in these bytes. Throws if there is none, or if there is more. */
export function decode(type: ContentType, data: Uint8Array): unknown {
  const value: unknown =
    type === JSON_TYPE
      ? parsed(new TextDecoder("utf-8", { fatal: true }).decode(data))
      : numbers(new Decoder({ useBigInt64: true }).decode(data));
  if (isDeeper(value, DEPTH_MAX)) throw new RangeError(`it nests deeper than ${DEPTH_MAX}`);
  return value;
}

/** The encoding that a message names. Throws if it names another one, or another charset. */
export function contentTypeOf(name: string | undefined): ContentType {
  const [kind, ...parameters] = (name ?? MSGPACK).toLowerCase().split(";");
  for (const parameter of parameters) {
    const [key, value] = parameter.trim().split("=");
    if (key === "charset" && value?.replaceAll('"', "") !== "utf-8") {
      throw new TypeError(`content type ${name}: the charset must be utf-8`);
    }
  }
  const known = kind?.trim();
  if (known === MSGPACK || known === JSON_TYPE) return known;
  throw new TypeError(`content type ${name} is not known; there are ${MSGPACK} and ${JSON_TYPE}`);
}

/** The encoding of a map, by its first byte. */
export function contentTypeIn(data: Uint8Array): ContentType {
  return data[0] === 0x7b ? JSON_TYPE : MSGPACK;
}

/** As JSON.parse, with integers beyond 2^53 as bigints. */
function parsed(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (!/\d{16}/.test(text)) return value;
  const marked = text.replace(TOKENS, (token) =>
    /^-?\d+$/.test(token) && !Number.isSafeInteger(Number(token)) ? `"${MARK}${token}"` : token,
  );
  return JSON.parse(marked, (_, one: unknown) =>
    typeof one === "string" && one.startsWith(MARK) ? BigInt(one.slice(MARK.length)) : one,
  );
}

/** Integers beyond 32 bits come as bigints; those that a number holds are numbers here. */
function numbers(value: unknown): unknown {
  if (typeof value === "bigint") {
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER
      ? Number(value)
      : value;
  }
  return mapped(value, numbers);
}

/** With useBigInt64 the encoder writes large numbers as floats: they are made bigints before. */
function plain(value: unknown): unknown {
  if (typeof value === "number" && Number.isSafeInteger(value) && Math.abs(value) > 0x7fff_ffff) {
    return BigInt(value);
  }
  return mapped(value, plain);
}

function mapped(value: unknown, with_: (value: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map(with_);
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return value;
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, with_(one)]));
}

function isDeeper(value: unknown, depth: number): boolean {
  let level: unknown[] = [value];
  for (let at = 0; at <= depth; at++) {
    const inner = level.flatMap((one) =>
      one !== null && typeof one === "object" && !ArrayBuffer.isView(one) ? Object.values(one) : [],
    );
    if (inner.length === 0) return false;
    level = inner;
  }
  return true;
}
