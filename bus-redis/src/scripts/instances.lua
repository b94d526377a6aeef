-- The records of the instances whose time is not over, none of them too large.
-- KEYS: ids by when they count as gone, records by id. ARGV: how many at most, bytes of each.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local records = {}
local ttl = tonumber(redis.call('HGET', KEYS[2], 'ttl'))
local latest = ttl and string.format('%.0f', now + ttl) or '+inf'
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, latest, 'LIMIT', 0, ARGV[1])
for _, id in ipairs(ids) do
  local bytes = redis.call('HSTRLEN', KEYS[2], id)
  if bytes > 0 and bytes <= tonumber(ARGV[2]) then
    records[#records + 1] = redis.call('HGET', KEYS[2], id)
  end
end
return records
