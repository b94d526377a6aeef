-- Asks for the right to run commands, each by itself.
-- KEYS: claims. ARGV, for each: owner, fingerprint, lease ms, life of the record ms, the moment until
-- which it lives at least, and from which on a claim without a record is not given (ms; 0 for none).
-- A record is a hash: owner, fingerprint, state (running, done), attempt, lease_until, contested,
-- frame.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Whether a claim is still another's: until its lease is over and somebody has been asking for half
-- a lease, so that it could have been renewed if the server, or the way to it, had only stood still.
-- Being asked counts from when it should have been renewed.
local function is_held(key, lapses, contested, half)
  if lapses == 0 then return false end
  if now < lapses - half then return true end
  if contested < lapses - half then
    contested = now
    redis.call('HSET', key, 'contested', string.format('%.0f', now))
  end
  return now < lapses or now - contested < half
end

local function claim(key, by, asked, lease, life, till)
  local held = redis.call('HMGET', key, 'fingerprint', 'state', 'owner', 'attempt', 'lease_until',
    'contested')
  local fingerprint, state, owner, attempt, lease_until, contested = unpack(held)
  if fingerprint and fingerprint ~= asked then return {'conflict'} end
  if state == 'done' then return {'done', redis.call('HGET', key, 'frame')} end
  if not fingerprint and till > 0 and till <= now then return {'expired'} end

  attempt = tonumber(attempt) or 0
  if owner ~= by then
    if is_held(key, tonumber(lease_until) or 0, tonumber(contested) or 0, lease / 2) then
      return {'running'}
    end
    attempt = attempt + 1
  end
  redis.call('HSET', key, 'fingerprint', asked, 'state', 'running', 'owner', by,
    'attempt', attempt, 'lease_until', string.format('%.0f', now + lease))
  redis.call('PEXPIRE', key, string.format('%.0f', math.max(life, till - now)))
  return {'run', attempt}
end

local answers = {}
for at, key in ipairs(KEYS) do
  local by, asked, lease, life, till = unpack(ARGV, at * 5 - 4, at * 5)
  answers[at] = claim(key, by, asked, lease, tonumber(life), tonumber(till))
end
return answers
