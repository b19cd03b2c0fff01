-- Makes another driver the driver of a run.
--
-- KEYS[1]  prefix of the run's keys
-- ARGV     see idempotent.lua; the new driver's id, the last heartbeat of its predecessor, in
--          milliseconds, then the new one's host and process
-- Returns  1, or 0 if there was a later heartbeat

local prefix = KEYS[1]
local before = gone() or answered()
if before then return before end
local members = prefix .. ':members'
if redis.call('HGET', members, 'driver') ~= ARGV[4] then return answer(0) end
local clock = redis.call('TIME')
redis.call('HSET', members, 'driver', clock[1] * 1000 + math.floor(clock[2] / 1000))
redis.call('HSET', prefix .. ':info', 'driver', ARGV[3], 'host', ARGV[5], 'process', ARGV[6])
return answer(1)
