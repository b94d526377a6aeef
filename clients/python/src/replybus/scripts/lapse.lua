-- Ends the lease of a run that came to no outcome; the attempt counts.
-- KEYS: claim. ARGV: owner.
local held = redis.pcall('HMGET', KEYS[1], 'owner', 'state')
if held.err and not held.err:find('WRONGTYPE') then return held end
-- A text is the record of what is done, of which no field is ours.
if held[1] ~= ARGV[1] or held[2] == 'done' then return 0 end
redis.call('HSET', KEYS[1], 'owner', '', 'lease_until', 0)
return 1
