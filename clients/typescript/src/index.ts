/** Calls over RabbitMQ, answered through Redis: callers, workers and events of replybus in TypeScript. */

export { Bus, type BusOptions } from "./bus.js";
export { Call } from "./call.js";
export { JSON_TYPE, MSGPACK, type ContentType } from "./codec.js";
export { current, type Context } from "./context.js";
export { CallError, CallFailed, HandlerError } from "./errors.js";
export type { CallOptions, Method } from "./method.js";
export { Service, type Handler, type StreamHandler } from "./service.js";
export type { Serving } from "./serving.js";
export { StreamCall, type StreamOptions } from "./stream.js";
export type { EventHandler, Subscription } from "./subscription.js";
export type { CancelOutcome, Ticket } from "./ticket.js";
