-- Triggers count, as on PostgreSQL.
CREATE TRIGGER transfers_sent_counted AFTER INSERT ON transfers
BEGIN
    INSERT INTO counts (user_id, sent, received, received_billions, received_rest)
    VALUES (NEW.from_user, 1, 0, 0, 0)
    ON CONFLICT (user_id) DO UPDATE SET sent = sent + 1;
END;

CREATE TRIGGER transfers_received_counted AFTER UPDATE OF state ON transfers
WHEN OLD.state <> 'completed' AND NEW.state = 'completed'
BEGIN
    INSERT INTO counts (user_id, sent, received, received_billions, received_rest)
    VALUES (NEW.to_user, 0, 1, NEW.amount / 1000000000, NEW.amount % 1000000000)
    ON CONFLICT (user_id) DO UPDATE SET
        received = received + 1,
        received_billions = received_billions + excluded.received_billions,
        received_rest = received_rest + excluded.received_rest;
END;

INSERT INTO counts (user_id, sent, received, received_billions, received_rest)
SELECT user_id, SUM(sent), SUM(received), SUM(billions), SUM(rest)
FROM (
    SELECT from_user AS user_id, 1 AS sent, 0 AS received, 0 AS billions, 0 AS rest
    FROM transfers
    UNION ALL
    SELECT to_user, 0, 1, amount / 1000000000, amount % 1000000000
    FROM transfers WHERE state = 'completed'
) AS sides
GROUP BY user_id;
