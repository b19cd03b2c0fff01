-- Keeps results that the driver has seen, for the next driver if this one dies.
--
-- KEYS[1]  prefix of the run's keys
-- ARGV     the driver's id, then ids of events that are results
-- Returns  how many were not kept before

local prefix = KEYS[1]
local out, kept = prefix .. ':out', prefix .. ':kept'

if redis.call('HGET', prefix .. ':info', 'driver') ~= ARGV[1] then
  return redis.error_reply('LOST driver ' .. ARGV[1])
end
local there = 0
for i = 2, #ARGV do
  for _, entry in ipairs(redis.call('XRANGE', out, ARGV[i], ARGV[i])) do
    there = there + 1
    redis.call('XADD', kept, '*', unpack(entry[2]))
    redis.call('XDEL', out, ARGV[i])
  end
end
return there
