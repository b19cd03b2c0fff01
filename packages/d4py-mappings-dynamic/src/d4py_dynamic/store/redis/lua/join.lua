-- Makes a worker known to a run.
--
-- KEYS[1]  prefix of the run's keys
-- ARGV     see idempotent.lua; the driver's id, or nothing
-- Returns  the worker's rank
--          -- or an error reply that starts with GONE when the run is over, of which nothing must
--          be made anew

local prefix = KEYS[1]
local unfinished = prefix .. ':unfinished'

local before = gone() or refused(ARGV[3]) or answered()
if before then return before end
local rank = redis.call('HINCRBY', unfinished, 'joined', 1) - 1
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('XGROUP', 'CREATE', prefix .. ':inbox:' .. rank, 'workers', '0', 'MKSTREAM')
redis.call('SADD', prefix .. ':idle', rank)
redis.call('HSET', prefix .. ':members', rank, now)
return answer(rank)
