-- Forgets an instance.
-- KEYS: ids by when they count as gone, records by id. ARGV: id.
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
