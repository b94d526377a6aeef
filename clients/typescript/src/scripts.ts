/**
 * The scripts by which all who share the records of commands change them. They are those of the Rust
 * implementation, byte by byte: whether a command is run twice rests on all workers doing the same.
 */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Redis } from "ioredis";

export type ScriptName =
  | "announce"
  | "cancel"
  | "claim"
  | "finish"
  | "forget_delayed"
  | "given_up"
  | "lapse"
  | "note"
  | "note_delayed"
  | "record"
  | "release"
  | "renew"
  | "withdraw";

type Argument = string | number | Buffer;

/** Runs scripts, each sent once to a server that does not know it. */
export class Scripts {
  private readonly known = new Map<ScriptName, { text: string; hash: string }>();

  constructor(private readonly redis: Redis) {}

  async run(name: ScriptName, keys: string[], args: Argument[]): Promise<unknown> {
    const { text, hash } = this.script(name);
    const rest = [keys.length, ...keys, ...args];
    try {
      return await this.redis.callBuffer("EVALSHA", [hash, ...rest]);
    } catch (error) {
      if (!String((error as Error).message).startsWith("NOSCRIPT")) throw error;
      return await this.redis.callBuffer("EVAL", [text, ...rest]);
    }
  }

  private script(name: ScriptName): { text: string; hash: string } {
    let script = this.known.get(name);
    if (script === undefined) {
      const text = readFileSync(new URL(`../scripts/${name}.lua`, import.meta.url), "utf8");
      script = { text, hash: createHash("sha1").update(text).digest("hex") };
      this.known.set(name, script);
    }
    return script;
  }
}
