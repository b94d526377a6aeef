-- The table of `replybus-sql`: events that the broker has not confirmed.
CREATE TABLE IF NOT EXISTS outbox (
    id TEXT NOT NULL PRIMARY KEY,
    event TEXT NOT NULL,
    leased_until BIGINT NOT NULL DEFAULT 0,
    exchange TEXT,
    name TEXT,
    order_key TEXT,
    traceparent TEXT,
    tracestate TEXT,
    put_at BIGINT,
    attempts BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS outbox_by_order_key ON outbox (order_key) WHERE order_key IS NOT NULL;
