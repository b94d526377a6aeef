-- An account, with the sum of its entries kept beside them: what can be spent is read and locked
-- as one row. `entries` counts them.
CREATE TABLE accounts (
    account_number TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL UNIQUE,
    username TEXT NOT NULL,
    -- In lower case.
    username_key TEXT NOT NULL UNIQUE,
    -- Masked.
    phone TEXT,
    balance BIGINT NOT NULL CHECK (balance >= 0),
    entries BIGINT NOT NULL CHECK (entries >= 0),
    opened_at BIGINT NOT NULL
);

-- A movement of money, or the durable refusal of one, under its owner's name for it. An account
-- that is NULL is the outside of the bank.
--
-- The accounts are no foreign keys here: they would share a lock on rows that the transaction is
-- yet to lock for itself, and two that do so deadlock. The entries refer to them.
CREATE TABLE postings (
    id TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    kind TEXT NOT NULL,
    from_account TEXT,
    to_account TEXT,
    amount BIGINT NOT NULL CHECK (amount > 0),
    verdict TEXT NOT NULL
        CHECK (verdict IN ('posted', 'insufficient_balance', 'balance_too_large')),
    posted_at BIGINT NOT NULL,
    UNIQUE (owner, idempotency_key),
    -- For the entries to refer to.
    UNIQUE (id, amount),
    CHECK (
        (kind IN ('opening', 'deposit') AND from_account IS NULL AND to_account IS NOT NULL)
        OR (kind = 'withdrawal' AND from_account IS NOT NULL AND to_account IS NULL)
        OR (
            kind = 'transfer' AND from_account IS NOT NULL AND to_account IS NOT NULL
            AND from_account <> to_account
        )
    )
);

-- The two sides of a posting: -1 is where the money leaves, 1 where it arrives. Both are of the
-- posting's amount, so that they sum to zero.
--
-- The outside has no row among the accounts, which every deposit would have to lock, and so no
-- number and no balance.
CREATE TABLE entries (
    posting TEXT NOT NULL,
    side BIGINT NOT NULL CHECK (side IN (-1, 1)),
    amount BIGINT NOT NULL,
    account_number TEXT REFERENCES accounts (account_number),
    -- Counts the entries of the account, from 1.
    number BIGINT CHECK (number > 0),
    -- Of the account, afterwards.
    balance BIGINT CHECK (balance >= 0),
    PRIMARY KEY (posting, side),
    UNIQUE (account_number, number),
    FOREIGN KEY (posting, amount) REFERENCES postings (id, amount),
    CHECK (
        (account_number IS NULL) = (number IS NULL)
        AND (account_number IS NULL) = (balance IS NULL)
    )
);
