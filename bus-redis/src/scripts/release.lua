-- Gives up a claim whose command did nothing; the attempt does not count.
-- KEYS: claim. ARGV: owner.
local held = redis.call('HMGET', KEYS[1], 'owner', 'state', 'attempt')
if held[1] ~= ARGV[1] or held[2] == 'done' then return 0 end
local attempt = tonumber(held[3]) - 1
if attempt < 1 then
  redis.call('DEL', KEYS[1])
else
  redis.call('HSET', KEYS[1], 'owner', '', 'attempt', attempt, 'lease_until', 0)
end
return 1
