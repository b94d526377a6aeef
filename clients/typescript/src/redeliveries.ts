/**
 * Deliveries that are not the first, counted before anything of them is run: a message that kills its
 * workers is not run for ever.
 */

import { createHash } from "node:crypto";
import { ATTEMPTS_MAX, type Claims, LEASE, claimOf } from "./claims.js";
import { CallFailed } from "./errors.js";
import type { Message } from "./message.js";

/** A delivery of a message that was delivered before. */
export interface Redelivery {
  /** Without the namespace. */
  queue: string;
  /** What it is counted by; without one it is by what the message is. */
  name: string | undefined;
  message: Message;
}

/**
 * Runs a delivery, and says which run of the message it is; returns why it is not to be run otherwise, as
 * `interrupted` if there were as many as are allowed.
 */
export async function counted<T>(
  claims: Claims,
  { queue, name, message }: Redelivery,
  until: number,
  isOver: () => boolean,
  run: (attempt: number) => Promise<T>,
): Promise<{ refused: CallFailed } | { came: T }> {
  const isNamed = name !== undefined;
  const claim = claimOf(`${queue}:delivery:${name ?? digest(message)}`, { lease: isNamed ? 0 : LEASE });
  const asked = await claims.take(claim, until, isOver);
  if ("refused" in asked) return { refused: asked.refused };
  const attempt = "attempt" in asked ? asked.attempt : ATTEMPTS_MAX;
  if (attempt >= ATTEMPTS_MAX) {
    await claims.release(claim);
    const text = `it was delivered ${ATTEMPTS_MAX} times, and never settled`;
    return { refused: new CallFailed("interrupted", text, true) };
  }
  const over = new AbortController();
  const keeping = isNamed ? undefined : claims.keep(claim, over.signal, () => {});
  try {
    return { came: await run(attempt + 1) };
  } finally {
    over.abort();
    await keeping;
    // Given back on purpose it does not count either.
    await claims.release(claim);
  }
}

/** Names a message by what it is. */
function digest(message: Message): string {
  const { type, replyTo, contentType, appId, timestamp, headers, body } = message;
  const own = Object.entries(headers).filter(([name]) => !name.startsWith("x-"));
  const told = JSON.stringify([type, replyTo, contentType, appId, timestamp, own]);
  return createHash("sha256").update(told).update(body).digest("hex").slice(0, 32);
}
