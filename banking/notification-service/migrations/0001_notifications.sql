-- One for each side of a transfer: whoever stores an event again stores nothing.
CREATE TABLE notifications (
    id TEXT NOT NULL PRIMARY KEY,
    event TEXT NOT NULL,
    user_id TEXT NOT NULL,
    message TEXT NOT NULL,
    is_read BIGINT NOT NULL DEFAULT 0 CHECK (is_read IN (0, 1)),
    created_at BIGINT NOT NULL,
    UNIQUE (event, user_id)
);

-- A user's newest, and everybody's.
CREATE INDEX notifications_of_user ON notifications (user_id, created_at, id);
CREATE INDEX notifications_by_age ON notifications (created_at, id);

-- What "all of them" marks is little beside what was read long ago.
CREATE INDEX notifications_unread ON notifications (user_id) WHERE is_read = 0;
