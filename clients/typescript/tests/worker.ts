/** Serves what callers in Rust call, until its input ends: run by the tests of the workspace. */

import { once } from "node:events";
import { Bus, HandlerError, Service, current } from "replybus";

const sums = new Map<string, number>();
let dropped = 0;

const aborted = async () => {
  const signal = current()?.cancelled;
  if (signal && !signal.aborted) await once(signal, "abort");
};

const desk = new Service("desk.requests", "Desk")
  .query("echo", async ({ note }) => note)
  .command("add", async ({ to, amount }: { to: string; amount: number }) => {
    const sum = (sums.get(to) ?? 0) + amount;
    if (sum > 100) throw new HandlerError({ Full: 100 });
    sums.set(to, sum);
    return sum;
  })
  .query("wait", async () => {
    await aborted();
    dropped += 1;
  })
  .query("cancelled", async () => dropped)
  .command("work", async () => {
    await aborted();
    return "told";
  })
  .stream("count", async function* ({ to }: { to: number }) {
    for (let number = 0; number < to; number++) {
      if (number === 1000) throw new HandlerError({ Full: number });
      yield number;
    }
  })
  .query("who", async () => {
    const context = current();
    const trace = context?.trace["traceparent"]?.slice(3, 35);
    return { caller: context?.caller, tenant: context?.metadata["tenant"] ?? "", trace };
  })
  .command("fragile", async ({ fails }: { fails: boolean }) => {
    if (fails) throw new Error("it was told to");
    const attempt = current()?.attempt;
    if (attempt === 1) process.exit(9);
    return attempt;
  });

const [amqp, redis, namespace] = process.argv.slice(2) as [string, string, string];
const bus = await Bus.connect(amqp, redis, { namespace, app: "worker.ts" });
const serving = await bus.serve(desk);
const group = await bus.subscribe("notes", "desk.noted", async (event) => {
  await bus.emit("desk.heard", event);
});
console.log("serving");
process.stdin.resume();
await once(process.stdin, "end");
await group.shutdown();
await serving.shutdown();
await bus.close();
console.log("all was as it should be");
