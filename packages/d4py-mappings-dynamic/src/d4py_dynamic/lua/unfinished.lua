-- Unfinished tasks per PE, as counted, and the tasks that are really there.
--
-- KEYS[1]  prefix of the run's keys
-- ARGV     PEs to watch from now on: their number, then they; then every stream of tasks
-- Returns  number of tasks in the streams, then the counts as a flat list of field and value

local prefix = KEYS[1]
local watched = tonumber(ARGV[1])
for i = 2, watched + 1 do
  redis.call('SADD', prefix .. ':watched', ARGV[i])
end
local there = 0
for i = watched + 2, #ARGV do
  there = there + redis.call('XLEN', ARGV[i])
end
local reply = redis.call('HGETALL', prefix .. ':unfinished')
table.insert(reply, 1, there)
return reply
