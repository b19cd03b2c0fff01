-- Records the heartbeat of a worker, or of the driver.
--
-- KEYS[1]  prefix of the run's keys
-- ARGV     worker's rank, or 'driver'; the driver's id, or nothing
-- Returns  1, or 0 if that worker was given up, another driver has taken over, or the run is over

local prefix = KEYS[1]
local members = prefix .. ':members'
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local known = redis.call('HEXISTS', members, ARGV[1])
if ARGV[1] == 'driver' then
  known = redis.call('EXISTS', prefix .. ':unfinished')
  if redis.call('HGET', prefix .. ':info', 'driver') ~= ARGV[2] then known = 0 end
end
if known == 1 then redis.call('HSET', members, ARGV[1], now) end
return known
