/** Serves a depot to callers in Rust, until its input ends: run by the tests of the workspace. */

import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Bus, HandlerError, RetryLater, Service, current } from "replybus";

const run = async ({ fails }: { fails: number }) => {
  const attempt = current()?.attempt ?? 0;
  if (attempt <= fails) throw new RetryLater({ Busy: attempt });
  return attempt;
};

const depot = new Service("depot.requests", "Depot")
  .command("stamp", async () => Date.now())
  .command("stubborn", run, { retry: { max: 3, base: 20 } })
  .command("patient", run, { retry: { max: 2, base: 1_100 } })
  .command("plain", async ({ fails }: { fails: boolean }) => {
    if (fails) throw new RetryLater({ Busy: 0 });
    return 0;
  })
  .command(
    "noted",
    async ({ dies }: { dies: boolean }) => {
      // Its record is a file, which is written once for each request.
      const record = join(process.env["DEPOT_RECORDS"] ?? "", current()?.recordName ?? "");
      try {
        writeFileSync(record, "1", { flag: "wx" });
      } catch {
        return Number(readFileSync(record, "utf8"));
      }
      if (dies) process.exit(9);
      throw new HandlerError("it was to die");
    },
    { ownRecord: true },
  );

const [amqp, redis, namespace] = process.argv.slice(2) as [string, string, string];
const bus = await Bus.connect(amqp, redis, { namespace, app: "depot.ts" });
const serving = await bus.serve(depot);
console.log("serving");
process.stdin.resume();
await once(process.stdin, "end");
await serving.shutdown();
await bus.close();
console.log("all was as it should be");
