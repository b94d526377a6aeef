-- Notes a message that waits, unless there are too many or it was just forgotten, and drops some that
-- are due.
-- KEYS: ids by when they are due, records by id. ARGV: id, due ms, record, how many at most.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
end
local left = tonumber(ARGV[2]) - now
local known = redis.call('HGET', KEYS[2], ARGV[1])
if known == '' or left <= 0 or (not known and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4])) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) < left then redis.call('PEXPIRE', key, left) end
end
return 1
