-- Forgets a message that waited. Whoever delayed it may still be about to note it: for 2 s an empty
-- record keeps it from being noted.
-- KEYS: ids by when they are due, records by id. ARGV: id.
local time, keeps = redis.call('TIME'), 2000
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + keeps, ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], '')
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) < keeps then redis.call('PEXPIRE', key, keeps) end
end
