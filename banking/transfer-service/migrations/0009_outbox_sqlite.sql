-- What `replybus-sql` keeps of an event beside it: what it is, the trace that it is told in, and its
-- place in the order. A version before this one leaves it out, and may go on beside.
ALTER TABLE outbox ADD COLUMN exchange TEXT;
ALTER TABLE outbox ADD COLUMN name TEXT;
ALTER TABLE outbox ADD COLUMN order_key TEXT;
ALTER TABLE outbox ADD COLUMN traceparent TEXT;
ALTER TABLE outbox ADD COLUMN tracestate TEXT;
ALTER TABLE outbox ADD COLUMN put_at BIGINT;
ALTER TABLE outbox ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0;
CREATE INDEX outbox_by_order_key ON outbox (order_key) WHERE order_key IS NOT NULL;
