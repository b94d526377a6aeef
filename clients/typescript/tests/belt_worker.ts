/** Serves the partitions of a belt, until its input ends: run by the tests of the workspace. */

import { once } from "node:events";
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Bus, Service } from "replybus";

const belt = new Service("belt.requests", "Belt", "classic", 16).command(
  "put",
  async ({ key, number }: { key: string; number: number }) => {
    // Work of other lengths: what is not kept in order comes out of it.
    await sleep(Math.random() * 10);
    appendFileSync(join(process.env["BELT_FILES"] ?? "", key), `${process.pid} ${number}\n`);
    return null;
  },
);

const [amqp, redis, namespace] = process.argv.slice(2) as [string, string, string];
const bus = await Bus.connect(amqp, redis, { namespace, app: "belt.ts" });
const serving = await bus.serve(belt);
console.log("serving");
process.stdin.resume();
await once(process.stdin, "end");
await serving.shutdown();
await bus.close();
console.log("all was as it should be");
