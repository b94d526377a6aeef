-- Cancels a command that was not started, so that it never is; what was started and is held by
-- nobody is done as interrupted, and so will be what runs now if its worker dies.
-- KEYS: claim. ARGV: the outcomes of a command that was never started and of one that was, life of
-- the record ms.
local held = redis.call('HMGET', KEYS[1], 'state', 'lease_until', 'frame')
if held[1] == 'done' then return {'done', held[3]} end
if held[1] and tonumber(held[2]) > 0 then
  redis.call('HSET', KEYS[1], 'state', 'told', 'frame', ARGV[2])
  return {'running'}
end
redis.call('HSET', KEYS[1], 'owner', '', 'state', 'done', 'frame', held[1] and ARGV[2] or ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if held[1] then return {'done', ARGV[2]} end
return {'unstarted'}
