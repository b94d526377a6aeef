-- Forgets an instance, and says how many others there are; those that were lost are among them.
-- KEYS: ids by when they count as gone, records by id. ARGV: id.
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
return redis.call('ZCARD', KEYS[1])
