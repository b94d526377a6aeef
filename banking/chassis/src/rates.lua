-- Counts a request of a client.
-- KEYS: the moment when the client may ask for all at once again, in microseconds of the server's
-- clock. ARGV: requests in the window; seconds of the window.
-- Returns 0, or the ms to wait.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local window = ARGV[2] * 1000000
local full_at = tonumber(redis.call('GET', KEYS[1]) or now)
-- Not further ahead than it can be: the clock may have been set back.
full_at = math.min(math.max(full_at, now), now + window)
local ahead = full_at + window / ARGV[1] - now
-- Less than a microsecond is what a number can't tell.
if ahead >= window + 1 then return math.ceil((ahead - window) / 1000) end
redis.call('SET', KEYS[1], string.format('%.0f', now + ahead), 'PX', math.ceil(ahead / 1000))
return 0
