/** The only place that spells a queue's full name or a key of Redis. */

import { randomUUID } from "node:crypto";

const UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
const IS_UUID = new RegExp(`^${UUID}$`);

/** True of the id of a call: a UUID in lower case, with hyphens. */
export function isId(text: unknown): text is string {
  return typeof text === "string" && IS_UUID.test(text);
}

/** An id that no other call has. */
export function newId(): string {
  return randomUUID();
}

/** The 16 bytes of an id. */
export function idBytes(id: string): Buffer {
  return Buffer.from(id.replaceAll("-", ""), "hex");
}

/** The id in 16 bytes. */
export function idOf(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** The names of one bus. */
export class Names {
  private readonly dot: string;
  private readonly scope: string;

  constructor(namespace: string, keyPrefix: string) {
    this.dot = namespace ? `${namespace}.` : "";
    this.scope = `${keyPrefix}${this.dot}`;
  }

  /** A queue or exchange, as the broker knows it. */
  full(name: string): string {
    return `${this.dot}${name}`;
  }

  inbox(process: string): string {
    return `${this.scope}inbox:{${process}}`;
  }

  /** True if this, which comes from the network, is the inbox of a process of this bus. */
  isInbox(name: string): boolean {
    const start = `${this.scope}inbox:{`;
    return name.startsWith(start) && name.endsWith("}") && isId(name.slice(start.length, -1));
  }

  response(callId: string): string {
    return `${this.dot}response:${callId}`;
  }

  claim(name: string): string {
    return `${this.scope}claim:${name}`;
  }

  givenUp(queue: string): string {
    return `${this.scope}given-up:{${queue}}`;
  }

  /** The ids of those who serve a queue by when they count as gone, and their records. */
  instances(queue: string): [string, string] {
    const records = `${this.scope}instances:{${queue}}`;
    return [`${records}:until`, records];
  }

  /** The ids of what is delayed for a queue by when it is due, and the notes of it. */
  delayed(place: string): [string, string] {
    const notes = `${this.scope}delayed:{${place}}`;
    return [`${notes}:due`, notes];
  }

  served(): string {
    return `${this.scope}instances:queues`;
  }

  get control(): string {
    return this.full("replybus.control");
  }
}

/** What a command is claimed under; the queue is without the namespace. */
export function commandName(
  queue: string,
  method: string,
  key: string | undefined,
  callId: string,
): string {
  return key === undefined ? `${queue}:${method}:id:${callId}` : `${queue}:${method}:key:${key}`;
}
