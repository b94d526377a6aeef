-- Events that the broker has not confirmed, written with the postings that they tell of.
CREATE TABLE outbox (
    id TEXT NOT NULL PRIMARY KEY REFERENCES postings (id),
    event TEXT NOT NULL,
    leased_until BIGINT NOT NULL
);
