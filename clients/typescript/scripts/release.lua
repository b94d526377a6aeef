-- Gives up a claim whose command did nothing; the attempt does not count.
-- KEYS: claim. ARGV: owner.
-- Of a first attempt nothing is left but that for a while, longer than the pauses of those who ask:
-- what was released is not what Redis forgot. What was told of a cancel is not begun anew.
local held = redis.pcall('HMGET', KEYS[1], 'owner', 'state', 'attempt')
if held.err and not held.err:find('WRONGTYPE') then return held end
-- A text is the record of what is done, of which no field is ours.
if held[1] ~= ARGV[1] or held[2] == 'done' then return 0 end
local attempt = tonumber(held[3]) - 1
if attempt < 1 and held[2] ~= 'told' then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'released', 1)
  redis.call('PEXPIRE', KEYS[1], 5000)
else
  redis.call('HSET', KEYS[1], 'owner', '', 'attempt', attempt, 'lease_until', 0)
end
return 1
