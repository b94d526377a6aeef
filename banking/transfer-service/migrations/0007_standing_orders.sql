-- Transfers that users ordered once, to be made again and again. The table is the truth: what is due
-- when, and how often it was. Messages only wake who looks.
CREATE TABLE standing_orders (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    -- The recipient as it was asked for, and who that was.
    recipient TEXT NOT NULL,
    to_username TEXT NOT NULL,
    to_account TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    reference TEXT,
    first_at BIGINT NOT NULL,
    unit TEXT NOT NULL CHECK (unit IN ('day', 'week', 'month')),
    unit_count BIGINT NOT NULL CHECK (unit_count > 0),
    time_zone TEXT NOT NULL,
    until_at BIGINT,
    times BIGINT CHECK (times > 0),
    state TEXT NOT NULL CHECK (state IN ('active', 'ended', 'cancelled')),
    -- The number of the next time, from 0, which is part of the key of its transfer; it goes up by
    -- one when something came of that time.
    occurrence BIGINT NOT NULL DEFAULT 0,
    next_at BIGINT,
    -- What came of the time before.
    last_due_at BIGINT,
    last_made BIGINT,
    last_reason TEXT,
    created_at BIGINT NOT NULL,
    UNIQUE (user_id, idempotency_key),
    CHECK ((state = 'active') = (next_at IS NOT NULL))
);
-- Ids are UUIDv7, so that they sort by the time of the order.
CREATE INDEX standing_orders_of_user ON standing_orders (user_id, id);
CREATE INDEX standing_orders_due ON standing_orders (next_at) WHERE state = 'active';
