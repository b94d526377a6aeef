CREATE TABLE orders (
    id BIGINT PRIMARY KEY,
    -- What other services know it by, and its commands to them carry.
    order_key TEXT NOT NULL UNIQUE,
    user_id BIGINT NOT NULL,
    username TEXT NOT NULL,
    -- The Idempotency-Key of the request, if it had one.
    request_key TEXT,
    product_id BIGINT NOT NULL,
    product_name TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    unit_price BIGINT NOT NULL,
    total_price BIGINT NOT NULL,
    status TEXT NOT NULL,
    -- Why it was rejected or cancelled, if it was.
    reason TEXT,
    -- What is to be done next: `done` is nothing.
    step TEXT NOT NULL,
    -- Until when somebody is at work on it.
    leased_until BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (user_id, request_key)
);
CREATE INDEX orders_by_user ON orders (user_id, id);
CREATE INDEX orders_to_do ON orders (leased_until) WHERE step <> 'done';

-- Events that the broker has not confirmed.
CREATE TABLE outbox (id TEXT PRIMARY KEY, event TEXT NOT NULL, leased_until BIGINT NOT NULL);

CREATE TABLE numbers (name TEXT PRIMARY KEY, last BIGINT NOT NULL);
INSERT INTO numbers (name, last) VALUES ('orders', 0);
