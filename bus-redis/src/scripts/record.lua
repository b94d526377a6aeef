-- Looks at the record of a command.
-- KEYS: claim. Returns nothing, or done and its frame, or running, its attempt, what is left of its
-- lease in ms, and its progress if that was noted.
local held = redis.pcall('HMGET', KEYS[1], 'state', 'frame', 'attempt', 'lease_until', 'progress')
if held.err then
  -- A text is the record of what is done: see `claim.lua`.
  local text = redis.call('GET', KEYS[1])
  if not text or #text < 18 then return held end
  return {'done', text:sub(19 + text:byte(17) * 256 + text:byte(18))}
end
if not held[1] then return {} end
if held[1] == 'done' then return {'done', held[2]} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local left = math.max((tonumber(held[4]) or 0) - now, 0)
return {'running', tonumber(held[3]) or 1, left, held[5] ~= '' and held[5]}
