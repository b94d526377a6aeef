-- Asks for the right to run commands, each by itself.
-- KEYS: claims. ARGV, for each: owner, fingerprint, lease ms, life of the record ms, the moment until
-- which it lives at least, and from which on a claim without a record is not given (ms; 0 for none),
-- 1 if another had it when this one asked before.
-- A record is a hash until it is done: owner, fingerprint, state (running; told, of a cancel while it
-- ran), attempt, lease (its length), lease_until, contested, frame (of what is told: the outcome if
-- its worker dies). What is left of one that was released has nothing but released. One that is done
-- is a text, half as large: fingerprint (16 bytes, all zero if it is not known), length of the owner
-- (2 bytes), owner, frame. A hash whose state is done was written by an earlier version.
--
-- Numbers are given to commands as they are: Redis writes them out in full, and cheaper.
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answers, at = {}, 0

-- Whether a claim is still another's: until its lease is over and somebody has been asking for half
-- a lease, so that it could have been renewed if the server, or the way to it, had only stood still.
-- Being asked counts from when it should have been renewed. A moment that can't have come yet was
-- written before the server's clock was put back: both count from now then.
local function is_held(key, lapses, length, contested, half)
  if lapses == 0 then return false end
  if length and lapses > now + length then
    lapses = now + length
    call('HSET', key, 'lease_until', lapses)
  end
  if now < lapses - half then return true end
  if contested < lapses - half or contested > now then
    contested = now
    call('HSET', key, 'contested', now)
  end
  return now < lapses or now - contested < half
end

-- What a record that is a text says, where it stands among the fields of a hash; nothing if it is none.
local function done(key)
  local text = call('GET', key)
  if not text or #text < 18 then return end
  local owner_ends = 18 + text:byte(17) * 256 + text:byte(18)
  local fingerprint = text:sub(1, 16)
  return {fingerprint ~= ('\0'):rep(16) and fingerprint, 'done', [9] = text:sub(owner_ends + 1)}
end

for number = 1, #KEYS do
  local key, by, asked = KEYS[number], ARGV[at + 1], ARGV[at + 2]
  local lease, life, till = ARGV[at + 3] + 0, ARGV[at + 4] + 0, ARGV[at + 5] + 0
  local waited = ARGV[at + 6] == '1'
  at = at + 6
  local held = redis.pcall('HMGET', key, 'fingerprint', 'state', 'owner', 'attempt', 'lease_until',
    'contested', 'released', 'lease', 'frame')
  if held.err then held = done(key) or held end
  if held.err then return held end
  local fingerprint, is_ours, lapses = held[1], held[3] == by, tonumber(held[5]) or 0
  if fingerprint and fingerprint ~= asked then
    answers[number] = {'conflict'}
  elseif held[2] == 'done' then
    answers[number] = {'done', held[9]}
  elseif not fingerprint and till > 0 and till <= now then
    answers[number] = {'expired'}
  elseif not fingerprint and waited and not held[7] then
    -- Redis forgot who has it. They renew it, and have it again, or it lapses.
    call('HSET', key, 'fingerprint', asked, 'state', 'running', 'attempt', 1,
      'lease', lease, 'lease_until', now + lease)
    call('PEXPIRE', key, math.max(life, till - now))
    answers[number] = {'running'}
  elseif not is_ours
    and is_held(key, lapses, tonumber(held[8]), tonumber(held[6]) or 0, lease / 2) then
    answers[number] = {'running'}
  elseif held[2] == 'told' and not is_ours then
    call('SET', key, asked .. '\0\0' .. held[9], 'PX', math.max(life, till - now))
    answers[number] = {'done', held[9]}
  else
    local attempt = tonumber(held[4]) or 0
    if not is_ours then
      attempt = attempt + 1
      -- Not that of the run before.
      if attempt > 1 then call('HSET', key, 'progress', '') end
    end
    call('HSET', key, 'fingerprint', asked, 'state', held[2] or 'running', 'owner', by,
      'attempt', attempt, 'lease', lease, 'lease_until', now + lease)
    call('PEXPIRE', key, math.max(life, till - now))
    answers[number] = {'run', attempt}
  end
end
return answers
