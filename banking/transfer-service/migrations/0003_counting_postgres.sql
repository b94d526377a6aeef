-- Triggers count, so that what an older version of the service writes is counted as well. They keep
-- writers out until this migration ends: what was there is counted after that, and nothing twice.
CREATE FUNCTION count_sent() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO counts (user_id, sent, received, received_billions, received_rest)
    VALUES (NEW.from_user, 1, 0, 0, 0)
    ON CONFLICT (user_id) DO UPDATE SET sent = counts.sent + 1;
    RETURN NULL;
END $$;

CREATE FUNCTION count_received() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO counts (user_id, sent, received, received_billions, received_rest)
    VALUES (NEW.to_user, 0, 1, NEW.amount / 1000000000, NEW.amount % 1000000000)
    ON CONFLICT (user_id) DO UPDATE SET
        received = counts.received + 1,
        received_billions = counts.received_billions + EXCLUDED.received_billions,
        received_rest = counts.received_rest + EXCLUDED.received_rest;
    RETURN NULL;
END $$;

CREATE TRIGGER transfers_sent_counted AFTER INSERT ON transfers
FOR EACH ROW EXECUTE FUNCTION count_sent();

CREATE TRIGGER transfers_received_counted AFTER UPDATE OF state ON transfers
FOR EACH ROW WHEN (OLD.state <> 'completed' AND NEW.state = 'completed')
EXECUTE FUNCTION count_received();

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
