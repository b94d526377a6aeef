-- Looks for an answer that was kept, all of whose tags have the versions that it was computed under;
-- where there is none, takes the turn to compute it.
-- KEYS: answer, turn, tags. ARGV: owner, lease ms, ttl ms, 1 to have it computed anew.
local versions, held = {}, {}
for i = 3, #KEYS do
  held[i] = redis.call('HMGET', KEYS[i], 'version', 'until')
  versions[i - 2] = held[i][1] or ''
end
if ARGV[4] ~= '1' then
  local kept = redis.call('HMGET', KEYS[1], 'versions', 'answer')
  local has_all = true
  for _, version in ipairs(versions) do
    has_all = has_all and version ~= ''
  end
  if kept[2] and has_all and kept[1] == table.concat(versions, ' ') then
    return { 'answer', kept[2] }
  end
  local taken = redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2])
  if not taken and redis.call('GET', KEYS[2]) ~= ARGV[1] then return { 'awaited' } end
end
local time = redis.call('TIME')
local till = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3]
for i = 3, #KEYS do
  if versions[i - 2] == '' then
    -- Never one that was there before, not even when the same owner asks again.
    versions[i - 2] = ARGV[1] .. ':' .. time[1] .. '.' .. time[2]
  end
  if (tonumber(held[i][2] or 0) or 0) < till then
    redis.call('HSET', KEYS[i], 'version', versions[i - 2], 'until', string.format('%.0f', till))
    redis.call('PEXPIRE', KEYS[i], ARGV[3])
  end
end
return { 'missing', table.concat(versions, ' ') }
