-- Keeps the record of an instance for a time, and forgets those whose time is over.
-- KEYS: ids by when they count as gone, records by id. ARGV: id, record, time to live ms.
-- Among the records, as ttl, is the longest time to live of any: who would be gone later was announced
-- before the server's clock was put back.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
if (tonumber(redis.call('HGET', KEYS[2], 'ttl')) or 0) < tonumber(ARGV[3]) then
  redis.call('HSET', KEYS[2], 'ttl', ARGV[3])
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
