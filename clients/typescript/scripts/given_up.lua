-- The calls that were given up and whose time is not over, each with what is left of it, ms.
-- KEYS: ids by when their time is over. ARGV: how many at most.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[1])
local calls = {}
for at = 1, #found, 2 do
  calls[#calls + 1] = {found[at], tonumber(found[at + 1]) - now}
end
return calls
