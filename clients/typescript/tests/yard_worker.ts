/** Serves a yard, whose hauls take long, until its input ends: run by the tests of the workspace. */

import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Bus, HandlerError, RetryLater, Service, current } from "replybus";

const yard = new Service("yard.requests", "Yard").command(
  "haul",
  async ({ load }: { load: string }) => {
    // Goes on until it is told, by a file, what it comes to.
    const context = current();
    const word = join(process.env["YARD"] ?? "", load);
    context?.progress(context.attempt, 10, `typescript hauls ${load}`);
    while (!existsSync(word)) {
      if (context?.cancelled.aborted) {
        if (load === "left") throw new RetryLater("it goes on elsewhere");
        return "told";
      }
      await sleep(20);
    }
    if (readFileSync(word, "utf8") === "fails") throw new HandlerError("it broke");
    return `typescript ${context?.attempt}`;
  },
  { job: 3_600_000 },
);

const [amqp, redis, namespace] = process.argv.slice(2) as [string, string, string];
const bus = await Bus.connect(amqp, redis, { namespace, app: "yard.ts" });
const serving = await bus.serve(yard);
console.log("serving");
process.stdin.resume();
await once(process.stdin, "end");
await serving.shutdown(0);
await bus.close();
console.log("all was as it should be");
