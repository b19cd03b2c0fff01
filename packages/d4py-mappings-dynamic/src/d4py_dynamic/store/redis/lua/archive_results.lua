-- Archives results that the driver has seen, for the next driver if this one dies.
--
-- ARGV     the driver's id, then ids of events that are results
-- Returns  how many were not archived before

if call('HGET', key('info'), 'driver') ~= ARGV[1] then
  return redis.error_reply('LOST driver ' .. ARGV[1])
end
local archived = 0
for i = 2, #ARGV do
  for _, entry in ipairs(call('XRANGE', key('out'), ARGV[i], ARGV[i])) do
    archived = archived + 1
    call('XADD', key('archive'), '*', unpack(entry[2]))
    call('XDEL', key('out'), ARGV[i])
  end
end
return archived
