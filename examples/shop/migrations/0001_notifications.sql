CREATE TABLE preferences (
    user_id BIGINT PRIMARY KEY,
    language TEXT NOT NULL,
    -- 0 or 1.
    enabled BIGINT NOT NULL,
    -- Where mail goes; none is sent without it.
    email TEXT
);

-- One for each event; `event` makes it happen once.
CREATE TABLE deliveries (
    event TEXT PRIMARY KEY,
    user_id BIGINT NOT NULL,
    order_id BIGINT NOT NULL,
    language TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'sent', 'not_sent')),
    -- Why it is not sent, or not yet.
    detail TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX deliveries_by_user ON deliveries (user_id, created_at);
