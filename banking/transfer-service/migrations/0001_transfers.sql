-- What users asked for, and how far it is. Names and accounts are those of the moment it was asked.
CREATE TABLE transfers (
    id TEXT NOT NULL PRIMARY KEY,
    from_user TEXT NOT NULL,
    from_username TEXT NOT NULL,
    from_account TEXT NOT NULL,
    to_user TEXT NOT NULL,
    to_username TEXT NOT NULL,
    to_account TEXT NOT NULL,
    -- The recipient as it was asked for: the same key with another one is another request.
    recipient TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    idempotency_key TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'completed', 'rejected')),
    rejection TEXT,
    -- Times that recovery took it up, and until when somebody is at work on it.
    attempts BIGINT NOT NULL,
    leased_until BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    settled_at BIGINT,
    UNIQUE (from_user, idempotency_key),
    CHECK (from_user <> to_user),
    CHECK ((state = 'rejected') = (rejection IS NOT NULL)),
    CHECK ((state = 'pending') = (settled_at IS NULL))
);

-- The pages of either side. Ids are UUIDv7, so that they sort by the time of the request.
CREATE INDEX transfers_sent ON transfers (from_user, id);
CREATE INDEX transfers_received ON transfers (to_user, id);
-- What recovery looks for: hardly ever more than what is on its way.
CREATE INDEX transfers_pending ON transfers (leased_until) WHERE state = 'pending';

-- Events that the broker has not confirmed, written with what they tell.
CREATE TABLE outbox (
    id TEXT NOT NULL PRIMARY KEY REFERENCES transfers (id),
    event TEXT NOT NULL,
    leased_until BIGINT NOT NULL
);
