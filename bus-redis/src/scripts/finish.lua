-- Records the outcomes of commands and stores their replies, each by itself.
-- KEYS, for each: claim [, inbox, reply key] [, reply key]; its target says which of them are given.
-- ARGV: inbox entries, and for each: owner, fingerprint, frame, retention ms, the moment until which
-- the record lives at least (ms; 0 for none), call id, reply ttl ms, target (inbox, group, key,
-- none). For a group the call id is its 16 bytes.
-- Returns for each 0 if the claim is another's by now and its outcome is still to come, 1 if ours
-- was recorded, 2 if it was and the inbox is not there, or else the frame that was recorded before:
-- the first write wins.
local call = redis.call
local answers, groups, inboxes, taken, number = {}, nil, nil, 0, 0
local now

-- Who recorded what is done, under which fingerprint, and what, as `claim.lua` says; nothing if it is
-- no record.
local function done(claim)
  local text = call('GET', claim)
  if not text or #text < 18 then return end
  local owner_ends = 18 + text:byte(17) * 256 + text:byte(18)
  return {text:sub(19, owner_ends), text:sub(1, 16), 'done', text:sub(owner_ends + 1)}
end

-- A run that ended in time has set for how long it is kept when it was claimed.
local function record(claim, is_held, owner, fingerprint, frame, retention, till)
  if not now then
    local time = call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  local text, left = fingerprint .. struct.pack('>I2', #owner) .. owner .. frame, till - now
  if is_held and left > retention then
    call('SET', claim, text, 'KEEPTTL')
  else
    call('SET', claim, text, 'PX', math.max(retention, left))
  end
end

local function append(inbox, ...)
  return call('XADD', inbox, 'NOMKSTREAM', 'MAXLEN', '~', ARGV[1], '*', ...)
end

local function keep(number, key, frame, ttl)
  call('SET', key, frame, 'NX', 'PX', ttl)
  if answers[number] == 1 then answers[number] = 2 end
end

for at = 2, #ARGV, 8 do
  number, taken = number + 1, taken + 1
  local claim, owner, fingerprint, frame = KEYS[taken], ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local held = redis.pcall('HMGET', claim, 'owner', 'fingerprint', 'state', 'frame')
  if held.err then held = done(claim) or held end
  if held.err then return held end
  local holder, is_same = held[1], held[2] == fingerprint
  if held[3] == 'done' and is_same then
    frame = held[4]
    answers[number] = frame
  elseif holder and holder ~= owner then
    frame = nil
    answers[number] = 0
  else
    record(claim, holder, owner, fingerprint, frame, ARGV[at + 3] + 0, ARGV[at + 4] + 0)
    answers[number] = 1
  end

  local id, ttl, target = ARGV[at + 5], ARGV[at + 6], ARGV[at + 7]
  if target == 'key' then
    taken = taken + 1
    if frame then call('SET', KEYS[taken], frame, 'NX', 'PX', ttl) end
  elseif target ~= 'none' then
    local inbox, key = KEYS[taken + 1], KEYS[taken + 2]
    taken = taken + 2
    if frame and target == 'inbox' then
      if not append(inbox, 'id', id, 'frame', frame) then keep(number, key, frame, ttl) end
    elseif frame then
      groups, inboxes = groups or {}, inboxes or {}
      if not groups[inbox] then
        groups[inbox] = {}
        table.insert(inboxes, inbox)
      end
      table.insert(groups[inbox], {number, key, frame, ttl, id})
    end
  end
end

-- A MessagePack array of pairs, each 16 bytes of binary data (c4 10) and more (c6, 4 bytes of
-- length).
for _, inbox in ipairs(inboxes or {}) do
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
