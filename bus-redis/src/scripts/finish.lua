-- Records a command's outcome and stores its reply.
-- KEYS: claim [, inbox] [, reply key]; which of them are given says where the reply goes.
-- ARGV: owner, fingerprint, frame, retention ms, call id, reply ttl ms, inbox entries, target.
-- Returns 0 if the claim is another's by now and its outcome is still to come, 1 if ours was
-- recorded, 2 if it was and the inbox is not there, or else the frame that was recorded before: the
-- first write wins.
local held = redis.call('HMGET', KEYS[1], 'owner', 'fingerprint', 'state', 'frame')
local frame, result = ARGV[3], 1
if held[3] == 'done' and held[2] == ARGV[2] then
  frame, result = held[4], held[4]
elseif held[1] and held[1] ~= ARGV[1] then
  return 0
else
  redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'fingerprint', ARGV[2], 'state', 'done',
    'frame', frame)
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end

if ARGV[8] == 'inbox' then
  local entry = redis.call('XADD', KEYS[2], 'NOMKSTREAM', 'MAXLEN', '~', ARGV[7], '*',
    'id', ARGV[5], 'frame', frame)
  if not entry then
    redis.call('SET', KEYS[3], frame, 'NX', 'PX', ARGV[6])
    if result == 1 then result = 2 end
  end
elseif ARGV[8] == 'key' then
  redis.call('SET', KEYS[2], frame, 'NX', 'PX', ARGV[6])
end
return result
