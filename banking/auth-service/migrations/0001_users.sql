-- Who may log in. A name is reserved before its account is opened; `active_since` is null until then.
CREATE TABLE users (
    id TEXT PRIMARY KEY,
    username TEXT NOT NULL,
    -- The name in lower case: names that differ only by case are the same.
    username_key TEXT NOT NULL UNIQUE,
    -- Digits only.
    phone TEXT UNIQUE,
    -- In PHC string format.
    password_hash TEXT NOT NULL,
    -- The id of the call that made the user; the same call may be delivered twice.
    registered_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    active_since BIGINT
);
