-- What is counted and what is there, so that the driver sees it if anything was lost.
--
-- KEYS[1]  prefix of the run's keys
-- ARGV     PEs to watch from now on: their number, then they; then the streams of tasks, and last
--          what the names of the workers' inboxes begin with
-- Returns  numbers of tasks in the streams, of events that wait, of replicas, then the counts as a
--          flat list of field and value

local prefix = KEYS[1]
local watched = tonumber(ARGV[1])
if redis.call('EXISTS', prefix .. ':unfinished') == 1 then
  for i = 2, watched + 1 do redis.call('SADD', prefix .. ':watched', ARGV[i]) end
end
local there = 0
for i = watched + 2, #ARGV - 1 do
  there = there + redis.call('XLEN', ARGV[i])
end
for _, rank in ipairs(redis.call('HKEYS', prefix .. ':members')) do
  there = there + redis.call('XLEN', ARGV[#ARGV] .. rank)
end
return {
  there,
  redis.call('XLEN', prefix .. ':out'),
  redis.call('SCARD', prefix .. ':replicas'),
  redis.call('HGETALL', prefix .. ':unfinished'),
}
