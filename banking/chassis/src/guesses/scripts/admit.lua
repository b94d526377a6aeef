-- Asks whether a guess may be looked at. Asked again with its id it is as the first time.
-- Returns: 0 (now), and 1 if it is the first; 1 (after), and the ms to wait; or 2 (later), 0.
if not is_looked_at then
  local pause = pause_left()
  if pause > 0 then return {1, pause} end
  if looked_at >= math.max(free - wrong, 1) then return {2, 0} end
  redis.call('HSET', KEYS[1], guess, string.format('%.0f', now + lapses_after))
end
keep()
return {0, (wrong == 0 and looked_at == 0) and 1 or 0}
