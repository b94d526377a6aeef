-- Records the outcomes of commands and stores their replies, each by itself.
-- KEYS, for each: claim [, inbox, reply key] [, reply key]; its target says which of them are given.
-- ARGV: inbox entries, and for each: owner, fingerprint, frame, retention ms, the moment until which
-- the record lives at least (ms; 0 for none), call id, reply ttl ms, target (inbox, group, key,
-- none). For a group the call id is its 16 bytes.
-- Returns for each 0 if the claim is another's by now and its outcome is still to come, 1 if ours
-- was recorded, 2 if it was and the inbox is not there, or else the frame that was recorded before:
-- the first write wins.
local answers, groups, inboxes, taken = {}, {}, {}, 0
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function next_key()
  taken = taken + 1
  return KEYS[taken]
end

local function record(claim, owner, fingerprint, frame, retention, till)
  local held = redis.call('HMGET', claim, 'owner', 'fingerprint', 'state', 'frame')
  if held[3] == 'done' and held[2] == fingerprint then return held[4], held[4] end
  if held[1] and held[1] ~= owner then return 0 end
  if held[1] and held[2] == fingerprint then
    redis.call('HSET', claim, 'state', 'done', 'frame', frame)
  else
    redis.call('HSET', claim, 'owner', owner, 'fingerprint', fingerprint, 'state', 'done',
      'frame', frame)
  end
  -- A run that ended in time has set it when it was claimed.
  local life = math.max(retention, till - now)
  if not held[1] or life == retention then
    redis.call('PEXPIRE', claim, string.format('%.0f', life))
  end
  return 1, frame
end

local function append(inbox, ...)
  return redis.call('XADD', inbox, 'NOMKSTREAM', 'MAXLEN', '~', ARGV[1], '*', ...)
end

local function keep(at, key, frame, ttl)
  redis.call('SET', key, frame, 'NX', 'PX', ttl)
  if answers[at] == 1 then answers[at] = 2 end
end

for at = 1, (#ARGV - 1) / 8 do
  local owner, fingerprint, ours, retention, till, id, ttl, target =
    unpack(ARGV, at * 8 - 6, at * 8 + 1)
  local frame
  answers[at], frame =
    record(next_key(), owner, fingerprint, ours, tonumber(retention), tonumber(till))
  local inbox = (target == 'inbox' or target == 'group') and next_key()
  local key = target ~= 'none' and next_key()
  if frame and target == 'key' then
    redis.call('SET', key, frame, 'NX', 'PX', ttl)
  elseif frame and target == 'inbox' then
    if not append(inbox, 'id', id, 'frame', frame) then keep(at, key, frame, ttl) end
  elseif frame and target == 'group' then
    if not groups[inbox] then
      groups[inbox] = {}
      table.insert(inboxes, inbox)
    end
    table.insert(groups[inbox], {at, key, frame, ttl, id})
  end
end

-- A MessagePack array of pairs, each 16 bytes of binary data (c4 10) and more (c6, 4 bytes of
-- length).
for _, inbox in ipairs(inboxes) do
  local replies = groups[inbox]
  local parts = {'\220', struct.pack('>I2', #replies)}
  for _, reply in ipairs(replies) do
    table.insert(parts, '\146\196\016' .. reply[5] .. '\198' .. struct.pack('>I4', #reply[3]))
    table.insert(parts, reply[3])
  end
  if not append(inbox, 'group', table.concat(parts)) then
    for _, reply in ipairs(replies) do keep(reply[1], reply[2], reply[3], reply[4]) end
  end
end
return answers
