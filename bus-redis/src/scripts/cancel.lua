-- Cancels a command that was not started, so that it never is; what was started and is held by
-- nobody is done as interrupted, and so will be what runs now if its worker dies.
-- KEYS: claim. ARGV: the outcomes of a command that was never started and of one that was, life of
-- the record ms.
local held = redis.pcall('HMGET', KEYS[1], 'state', 'lease_until', 'frame', 'fingerprint')
if held.err then
  -- A text is the record of what is done: see `claim.lua`.
  local text = redis.call('GET', KEYS[1])
  if not text or #text < 18 then return held end
  return {'done', text:sub(19 + text:byte(17) * 256 + text:byte(18))}
end
if held[1] == 'done' then return {'done', held[3]} end
if held[1] and tonumber(held[2]) > 0 then
  redis.call('HSET', KEYS[1], 'state', 'told', 'frame', ARGV[2])
  return {'running'}
end
local frame = held[1] and ARGV[2] or ARGV[1]
redis.call('SET', KEYS[1], (held[4] or ('\0'):rep(16)) .. '\0\0' .. frame, 'PX', ARGV[3])
if held[1] then return {'done', frame} end
return {'unstarted'}
