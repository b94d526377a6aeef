CREATE TABLE notes (
    id TEXT PRIMARY KEY,
    amount BIGINT NOT NULL CHECK (amount >= 0),
    seen BIGINT NOT NULL DEFAULT 0,
    remark TEXT
);
