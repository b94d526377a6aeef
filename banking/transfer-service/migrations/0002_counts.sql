-- What a user sent and received, so that no page of theirs and no total counts all transfers again.
-- Amounts are in two parts, of billions and of the rest: together they can be more than fits in one.
CREATE TABLE counts (
    user_id TEXT NOT NULL PRIMARY KEY,
    -- Recorded, whatever came of it.
    sent BIGINT NOT NULL,
    -- Completed.
    received BIGINT NOT NULL,
    received_billions BIGINT NOT NULL,
    received_rest BIGINT NOT NULL
);

-- A page of what reached a user, without a look at what did not.
CREATE INDEX transfers_reached ON transfers (to_user, id) WHERE state = 'completed';
