/** Serves a scale, whose arguments are streams, until its input ends: run by the tests of the workspace. */

import { once } from "node:events";
import { Bus, CallFailed, HandlerError, Service } from "replybus";

type Amounts = AsyncIterable<number>;

const scale = new Service("scale.requests", "Scale")
  .command(
    "total",
    async ({ start, amounts }: { start: number; amounts: Amounts }) => {
      let total = start;
      try {
        for await (const amount of amounts) total += amount;
      } catch (error) {
        if (error instanceof CallFailed) throw new HandlerError("it broke off");
        throw error;
      }
      return total;
    },
    { fed: "amounts" },
  )
  .query(
    "some",
    async ({ amounts }: { amounts: Amounts }) => {
      const found: number[] = [];
      for await (const amount of amounts) if (found.push(amount) === 3) break;
      return found;
    },
    { fed: "amounts" },
  )
  .command(
    "dies",
    async ({ amounts }: { amounts: Amounts }) => {
      for await (const amount of amounts) if (amount === 3) process.exit(9);
    },
    { fed: "amounts" },
  )
  .command("plain", async () => 1);

const [amqp, redis, namespace] = process.argv.slice(2) as [string, string, string];
const bus = await Bus.connect(amqp, redis, { namespace, app: "scale.ts" });
const serving = await bus.serve(scale);
console.log("serving");
process.stdin.resume();
await once(process.stdin, "end");
await serving.shutdown();
await bus.close();
