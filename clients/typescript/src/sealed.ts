/**
 * Values that one program alone can read, whatever they wait in: needs `@hpke/core` and
 * `@hpke/chacha20poly1305`. Each is encrypted to the public key of who is to read it (RFC 9180), for a purpose
 * that both know.
 */

import { type KeyObject, createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { Chacha20Poly1305 } from "@hpke/chacha20poly1305";
import { CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from "@hpke/core";
import { MSGPACK, decode, encode } from "./codec.js";

const NAME = /^[A-Za-z0-9._-]{1,64}$/;
const VERSION = 1;
const ENCAPSULATED = 32;
const TAG = 16;
const STEP = 64;
const LENGTH = 4;
/** Before the 32 bytes of a private and of a public key in DER: RFC 8410. */
const PRIVATE = Buffer.from("302e020100300506032b656e04220420", "hex");
const PUBLIC = Buffer.from("302a300506032b656e032100", "hex");

const suite = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Chacha20Poly1305(),
});

/** A value could not be opened. Nothing of it is repeated. */
export class NotOpened extends Error {
  override name = "NotOpened";
}

/** The public key (X25519) of who is to read what is sealed, and its name. */
export class SealingKey {
  constructor(
    readonly name: string,
    readonly bytes: Uint8Array,
  ) {
    checkName(name);
    if (bytes.length !== 32) throw new TypeError("it is no key of X25519: 32 bytes");
  }

  /** The key in a file: PEM, SPKI. */
  static fromPem(name: string, pem: string): SealingKey {
    // A private key would be read as well, and is in the wrong hands here.
    if (pem.includes("PRIVATE")) throw new TypeError("it is no public key");
    return new SealingKey(name, rest(createPublicKey(pem), PUBLIC));
  }

  /** As it is written into a file. */
  toPem(): string {
    const key = createPublicKey({ key: Buffer.concat([PUBLIC, this.bytes]), format: "der", type: "spki" });
    return key.export({ format: "pem", type: "spki" }).toString();
  }
}

/** The private key (X25519) that opens what was sealed to its public one, and those before it. */
export class OpeningKey {
  readonly #secret: Uint8Array;
  #earlier: OpeningKey | undefined;

  constructor(
    readonly name: string,
    secret: Uint8Array,
  ) {
    checkName(name);
    if (secret.length !== 32) throw new TypeError("it is no key of X25519: 32 bytes");
    this.#secret = Uint8Array.from(secret);
  }

  /** A new key. */
  static generate(name: string): OpeningKey {
    return new OpeningKey(name, rest(generateKeyPairSync("x25519").privateKey, PRIVATE));
  }

  /** The key in a file, as `openssl genpkey -algorithm x25519` writes it: PEM, PKCS #8. */
  static fromPem(name: string, pem: string): OpeningKey {
    return new OpeningKey(name, rest(createPrivateKey(pem), PRIVATE));
  }

  /** As it is written into a file, which only who opens may read. */
  toPem(): string {
    return this.#object().export({ format: "pem", type: "pkcs8" }).toString();
  }

  /** The public key of it, for who seals. */
  sealingKey(): SealingKey {
    return new SealingKey(this.name, rest(createPublicKey(this.#object()), PUBLIC));
  }

  /** Opens also what was sealed to an earlier key. */
  replacing(earlier: OpeningKey): OpeningKey {
    const both = new OpeningKey(this.name, this.#secret);
    both.#earlier = this.#earlier?.replacing(earlier) ?? earlier;
    return both;
  }

  /** The secrets of the keys of that name, the newest first. */
  *named(name: string): Generator<Uint8Array> {
    if (this.name === name) yield this.#secret;
    if (this.#earlier !== undefined) yield* this.#earlier.named(name);
  }

  #object(): KeyObject {
    return createPrivateKey({ key: Buffer.concat([PRIVATE, this.#secret]), format: "der", type: "pkcs8" });
  }
}

/**
 * Seals a value to a key, for a purpose that who opens it has to know. What comes is an argument like any other.
 * Sealing again gives another text, so a call that is made again under its idempotency key takes the first one.
 */
export async function seal(value: unknown, key: SealingKey, purpose: string): Promise<string> {
  const encoded = encode(MSGPACK, value);
  const content = Buffer.alloc(Math.ceil((LENGTH + encoded.length) / STEP) * STEP);
  content.writeUInt32BE(encoded.length);
  encoded.copy(content, LENGTH);
  const head = Buffer.from([VERSION, key.name.length, ...Buffer.from(key.name)]);
  const recipientPublicKey = await suite.kem.deserializePublicKey(buffer(key.bytes));
  const { enc, ct } = await suite.seal({ recipientPublicKey, info: info(purpose) }, buffer(content), buffer(head));
  return Buffer.concat([head, new Uint8Array(enc), new Uint8Array(ct)]).toString("base64");
}

/** What was sealed, for the purpose that it was sealed for. Throws `NotOpened` if it was not, or was altered. */
export async function open(sealed: string | Uint8Array, key: OpeningKey, purpose: string): Promise<unknown> {
  const { head, name, enc, encrypted } = apart(sealed);
  const secrets = [...key.named(name)];
  if (secrets.length === 0) throw new NotOpened(`it is sealed to the key ${JSON.stringify(name)}, which is not here`);
  for (const secret of secrets) {
    const recipientKey = await suite.kem.deserializePrivateKey(buffer(secret));
    const opening = suite.open({ recipientKey, enc: buffer(enc), info: info(purpose) }, buffer(encrypted), buffer(head));
    const content = await opening.catch(() => undefined);
    if (content !== undefined) return valueIn(Buffer.from(content));
  }
  throw new NotOpened("it was altered, or sealed for another purpose or to another key of that name");
}

function valueIn(content: Buffer): unknown {
  const length = content.length < LENGTH ? Infinity : content.readUInt32BE();
  if (length > content.length - LENGTH) throw new NotOpened("what was sealed is no value");
  try {
    return decode(MSGPACK, content.subarray(LENGTH, LENGTH + length));
  } catch {
    throw new NotOpened("what was sealed is no value");
  }
}

function apart(sealed: string | Uint8Array) {
  const data = Buffer.from(sealed as string, "base64");
  // What is no Base64 is passed over by Node.js.
  const isText = typeof sealed !== "string" || data.toString("base64") === sealed;
  const end = 2 + (data[1] ?? 0);
  const name = data.subarray(2, end).toString("latin1");
  const isWhole = data[0] === VERSION && NAME.test(name) && data.length >= end + ENCAPSULATED + TAG;
  if (!isText || !isWhole) throw new NotOpened("it is no sealed value");
  const behind = end + ENCAPSULATED;
  return { head: data.subarray(0, end), name, enc: data.subarray(end, behind), encrypted: data.subarray(behind) };
}

/** The 32 bytes of a key behind what is before them, if it is one of X25519. */
function rest(key: KeyObject, before: Buffer): Uint8Array {
  const type = before === PRIVATE ? "pkcs8" : "spki";
  const der = key.export({ format: "der", type: type as "spki" });
  if (!der.subarray(0, before.length).equals(before)) throw new TypeError("it is no key of X25519");
  return Uint8Array.from(der.subarray(before.length));
}

function info(purpose: string): ArrayBuffer {
  return buffer(Buffer.from(`replybus sealed\n${purpose}`));
}

function buffer(bytes: Uint8Array): ArrayBuffer {
  return Uint8Array.from(bytes).buffer;
}

function checkName(name: string): void {
  if (!NAME.test(name)) throw new TypeError("the name of a key has 1 to 64 letters, digits, '-', '_' and '.'");
}
