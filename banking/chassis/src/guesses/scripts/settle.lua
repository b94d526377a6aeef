-- Notes what became of a guess, also if it has lapsed or was admitted elsewhere.
-- ARGV[8]: right, wrong, or none.
if is_looked_at then redis.call('HDEL', KEYS[1], guess) end
if ARGV[8] == 'right' then
  wrong = 0
elseif ARGV[8] == 'wrong' then
  wrong, last = wrong + 1, now
end
if wrong == 0 and looked_at == 0 then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], KEYS[1])
else
  keep()
end
return 0
