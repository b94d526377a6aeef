-- Counts what one statement writes all at once, and user by user in one order, so that statements
-- that write many transfers never wait for each other in a circle.
CREATE FUNCTION count_all_sent() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO counts (user_id, sent, received, received_billions, received_rest)
    SELECT from_user, COUNT(*), 0, 0, 0 FROM written GROUP BY from_user ORDER BY from_user
    ON CONFLICT (user_id) DO UPDATE SET sent = counts.sent + EXCLUDED.sent;
    RETURN NULL;
END $$;

CREATE FUNCTION count_all_received() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO counts (user_id, sent, received, received_billions, received_rest)
    SELECT written.to_user, 0, COUNT(*), SUM(written.amount / 1000000000),
        SUM(written.amount % 1000000000)
    FROM written JOIN replaced ON replaced.id = written.id
    WHERE replaced.state <> 'completed' AND written.state = 'completed'
    GROUP BY written.to_user ORDER BY written.to_user
    ON CONFLICT (user_id) DO UPDATE SET
        received = counts.received + EXCLUDED.received,
        received_billions = counts.received_billions + EXCLUDED.received_billions,
        received_rest = counts.received_rest + EXCLUDED.received_rest;
    RETURN NULL;
END $$;

-- They keep writers out until this migration ends: nothing is counted by both or by neither.
DROP TRIGGER transfers_sent_counted ON transfers;
DROP TRIGGER transfers_received_counted ON transfers;
DROP FUNCTION count_sent();
DROP FUNCTION count_received();

CREATE TRIGGER transfers_sent_counted AFTER INSERT ON transfers
REFERENCING NEW TABLE AS written
FOR EACH STATEMENT EXECUTE FUNCTION count_all_sent();

CREATE TRIGGER transfers_received_counted AFTER UPDATE ON transfers
REFERENCING OLD TABLE AS replaced NEW TABLE AS written
FOR EACH STATEMENT EXECUTE FUNCTION count_all_received();
