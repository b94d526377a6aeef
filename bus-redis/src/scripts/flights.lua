-- Events of the flight record from a place on: how many entries there are, the id of the last, and the
-- events in them, none of them too large. Entries without an event were written by somebody else.
-- KEYS: the record. ARGV: the place, how many entries at most, bytes of each event.
local entries = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])
local last, events = '', {}
for _, entry in ipairs(entries) do
  last = entry[1]
  local fields = entry[2]
  for at = 1, #fields, 2 do
    if fields[at] == 'event' then
      if #fields[at + 1] <= tonumber(ARGV[3]) then
        events[#events + 1] = fields[at + 1]
      end
      break
    end
  end
end
return { #entries, last, events }
