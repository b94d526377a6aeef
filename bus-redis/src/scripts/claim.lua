-- Asks for the right to run a command.
-- KEYS: claim. ARGV: owner, fingerprint, lease ms, life of the record ms.
-- A record is a hash: owner, fingerprint, state (running, done), attempt, lease_until, frame.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = redis.call('HMGET', KEYS[1], 'fingerprint', 'state', 'owner', 'attempt', 'lease_until')
local fingerprint, state, owner, attempt, lease_until = unpack(held)

if fingerprint and fingerprint ~= ARGV[2] then return {'conflict'} end
if state == 'done' then return {'done', redis.call('HGET', KEYS[1], 'frame')} end

attempt = tonumber(attempt) or 0
if owner ~= ARGV[1] then
  if lease_until and tonumber(lease_until) > now then return {'running'} end
  attempt = attempt + 1
end
redis.call('HSET', KEYS[1], 'fingerprint', ARGV[2], 'state', 'running', 'owner', ARGV[1],
  'attempt', attempt, 'lease_until', string.format('%.0f', now + ARGV[3]))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {'run', attempt}
