/** A NestJS application that calls `cart.requests`, and serves `checkout.requests` to callers in any language. */

import "reflect-metadata";
import { once } from "node:events";
import { Controller, Inject, Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { type ClientProxy, MessagePattern, RpcException } from "@nestjs/microservices";
import { firstValueFrom } from "rxjs";
import { ReplybusClient, ReplybusServer } from "./nest_transport.js";

const [amqp, redis, namespace] = process.argv.slice(2) as [string, string, string];
const servers = { amqp, redis, namespace, app: "checkout" };

@Controller()
class Checkout {
  constructor(@Inject("BUS") private readonly bus: ClientProxy) {}

  @MessagePattern({ queue: "checkout.requests", command: "buy" })
  async buy({ cart, cents }: { cart: string; cents: number }): Promise<{ total: number }> {
    if (cents <= 0) throw new RpcException("nothing to buy");
    const add = { queue: "cart.requests", command: "add" };
    return { total: await firstValueFrom(this.bus.send<number>(add, { cart, cents })) };
  }
}

@Module({
  controllers: [Checkout],
  providers: [{ provide: "BUS", useFactory: () => new ReplybusClient(servers) }],
})
class App {}

const strategy = new ReplybusServer(servers, "checkout");
const app = await NestFactory.createMicroservice(App, { strategy, logger: ["error"] });
await app.listen();
console.log("serving");
process.stdin.resume(); // until its input ends
await once(process.stdin, "end");
await app.close();
await app.get<ReplybusClient>("BUS").close();
