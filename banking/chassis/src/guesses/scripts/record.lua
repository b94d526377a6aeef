-- The record of a name: a hash of how many secrets were wrong (wrong), of the moment when the last
-- was, or the first was looked at (last), and of each guess that is being looked at, by its id, the
-- moment when it lapses. Moments are milliseconds of the server's clock.
-- KEYS: record; index of all records, by `last`.
-- ARGV: free; first and longest pause, ms; ms after which a record is forgotten and a guess lapses;
-- records at most; id of the guess, or nothing; and what the step needs.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local free, pause_first, pause_max = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local forgotten_after, lapses_after = tonumber(ARGV[4]), tonumber(ARGV[5])
local records_max, guess = tonumber(ARGV[6]), ARGV[7]

local wrong, last, looked_at, is_looked_at = 0, now, 0, false
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local field, value = fields[i], tonumber(fields[i + 1])
  if field == 'wrong' then
    wrong = value
  elseif field == 'last' then
    -- The clock may have been set back.
    last = math.min(value, now)
  elseif field == guess then
    is_looked_at = true
  elseif value > now and value <= now + lapses_after then
    looked_at = looked_at + 1
  else
    redis.call('HDEL', KEYS[1], field)
  end
end
if looked_at == 0 and now - last >= forgotten_after then
  wrong, last = 0, now
end

local function pause_left()
  if wrong < free then return 0 end
  local pause = math.min(pause_first * 2 ^ (wrong - free), pause_max)
  return math.max(math.ceil(last + pause - now), 0)
end

-- The quietest records make room, but for those whose guesses are being looked at.
local function make_room()
  if redis.call('ZCARD', KEYS[2]) <= records_max then return end
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - forgotten_after - lapses_after)
  for _, quiet in ipairs(redis.call('ZRANGE', KEYS[2], 0, 15)) do
    if redis.call('ZCARD', KEYS[2]) <= records_max then return end
    if quiet ~= KEYS[1] and redis.call('HLEN', quiet) <= 2 then
      redis.call('DEL', quiet)
      redis.call('ZREM', KEYS[2], quiet)
    end
  end
end

local function keep()
  local moment = string.format('%.0f', last)
  redis.call('HSET', KEYS[1], 'wrong', wrong, 'last', moment)
  redis.call('PEXPIRE', KEYS[1], math.max(last + forgotten_after - now, lapses_after))
  redis.call('ZADD', KEYS[2], moment, KEYS[1])
  redis.call('PEXPIRE', KEYS[2], forgotten_after + lapses_after)
  make_room()
end
