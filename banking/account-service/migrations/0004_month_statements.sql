-- Statements of months that users asked for. What is in one is what the ledger has in its span: the
-- entries, which never change, are not copied.
CREATE TABLE month_statements (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    month TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    begins_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    -- Entries that the account had when it was asked for: no later one is looked at.
    up_to BIGINT NOT NULL CHECK (up_to >= 0),
    state TEXT NOT NULL CHECK (state IN ('open', 'made', 'cancelled', 'failed')),
    -- Of the job that makes it, when the broker has it.
    ticket TEXT,
    -- How far whoever makes it is, and what it came to up to there. Whoever goes on with it goes on
    -- from here, and changes it only as they found it.
    looked_at BIGINT NOT NULL DEFAULT 0,
    opening BIGINT NOT NULL DEFAULT 0,
    paid_in BIGINT NOT NULL DEFAULT 0,
    paid_out BIGINT NOT NULL DEFAULT 0,
    entries BIGINT NOT NULL DEFAULT 0,
    -- The numbers of its first and last entry; 0 if it has none.
    first_number BIGINT NOT NULL DEFAULT 0,
    last_number BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    UNIQUE (user_id, idempotency_key)
);
-- Ids are UUIDv7, so that they sort by the time of the request.
CREATE INDEX month_statements_of_user ON month_statements (user_id, id);
CREATE INDEX month_statements_by_age ON month_statements (created_at);
