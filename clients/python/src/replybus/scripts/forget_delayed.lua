-- Forgets a message that waited.
-- KEYS: ids by when they are due, records by id. ARGV: id.
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
