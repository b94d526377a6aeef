-- Notes how far the run of a command is.
-- KEYS: claim. ARGV: owner, progress.
local held = redis.pcall('HMGET', KEYS[1], 'owner', 'state')
if held.err and not held.err:find('WRONGTYPE') then return held end
-- A text is the record of what is done, of which no field is ours.
if held[1] ~= ARGV[1] or held[2] == 'done' then return 0 end
redis.call('HSET', KEYS[1], 'progress', ARGV[2])
return 1
