-- Keeps a claim from lapsing. One that Redis lost is made again, lest the command runs twice.
-- KEYS: claim. ARGV: owner, fingerprint, lease ms, life of the record ms, the moment until which
-- it lives at least (ms; 0 for none).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = redis.pcall('HMGET', KEYS[1], 'owner', 'state', 'attempt')
if held.err then
  -- A text is the record of what is done: the fingerprint, and of the owner the length and itself.
  local text = redis.call('GET', KEYS[1])
  if not text or #text < 18 then return held end
  return text:sub(17, 18 + #ARGV[1]) == struct.pack('>I2', #ARGV[1]) .. ARGV[1] and 1 or 0
end
if held[1] and held[1] ~= ARGV[1] then return 0 end
if held[2] == 'done' then return 1 end
redis.call('HSET', KEYS[1], 'fingerprint', ARGV[2], 'state', held[2] or 'running', 'owner', ARGV[1],
  'attempt', held[3] or 1, 'lease', ARGV[3], 'lease_until', string.format('%.0f', now + ARGV[3]))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(ARGV[4], ARGV[5] - now)))
return 1
