CREATE TABLE users (
    id BIGINT PRIMARY KEY,
    username TEXT NOT NULL,
    -- The name in lower case: names that differ only by case are the same.
    username_key TEXT NOT NULL UNIQUE,
    -- In PHC string format.
    password_hash TEXT NOT NULL,
    -- What is left in the wallet, in minor units.
    credit BIGINT NOT NULL CHECK (credit >= 0),
    created_at BIGINT NOT NULL
);

-- One for each order that was to be paid; `order_key` makes it happen once.
CREATE TABLE charges (
    order_key TEXT PRIMARY KEY,
    user_id BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('charged', 'declined', 'refunded'))
);

-- The last number given out: SQLite and PostgreSQL number rows each in their own way.
CREATE TABLE numbers (name TEXT PRIMARY KEY, last BIGINT NOT NULL);
INSERT INTO numbers (name, last) VALUES ('users', 0);
