CREATE TABLE IF NOT EXISTS inbox (
    key TEXT NOT NULL PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    reply BYTEA,
    expires_at BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS inbox_by_age ON inbox (expires_at);
