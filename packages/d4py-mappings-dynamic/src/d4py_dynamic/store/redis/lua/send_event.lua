-- Sends an event to the driver, if the run is not over.
--
-- KEYS[1]  prefix of the run's keys
-- ARGV     see idempotent.lua; sealed event
-- Returns  1, or 0 if there is no run any more, of which nothing must be made anew

local out = KEYS[1] .. ':out'

if gone() or redis.call('EXISTS', out) == 0 then return 0 end
local before = answered()
if before then return before end
redis.call('XADD', out, '*', 'd', ARGV[3])
return answer(1)
