/** Calls over RabbitMQ, answered through Redis: callers, workers and events of replybus in TypeScript. */

export { Bus, type BusOptions } from "./bus.js";
export { Call } from "./call.js";
export { JSON_TYPE, MSGPACK, type ContentType } from "./codec.js";
export { current, type Context } from "./context.js";
export type { Later } from "./delays.js";
export { CallError, CallFailed, HandlerError, RetryLater } from "./errors.js";
export { type Feed, FeedCall } from "./feeding.js";
export type { CallOptions, Method } from "./method.js";
export type { Progress } from "./progress.js";
export type { Retry } from "./retries.js";
export { Service, type CommandOptions, type Handler, type QueryOptions, type StreamHandler } from "./service.js";
export type { Serving } from "./serving.js";
export { StreamCall, type StreamOptions } from "./stream.js";
export type { EventHandler, Subscription } from "./subscription.js";
export type { CancelOutcome, Ticket, TicketStatus } from "./ticket.js";
