-- Ends a turn, and keeps what was computed in it, unless a tag of it was invalidated meanwhile.
-- KEYS: answer, turn, tags. ARGV: owner, versions, ttl ms, the answer if there is one.
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
local versions = {}
for i = 3, #KEYS do
  versions[i - 2] = redis.call('HGET', KEYS[i], 'version') or ''
end
if table.concat(versions, ' ') ~= ARGV[2] then return 0 end
if ARGV[4] then
  redis.call('HSET', KEYS[1], 'versions', ARGV[2], 'answer', ARGV[4])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
