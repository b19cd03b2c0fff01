-- Counts a worker that does not wait for tasks as idle, or no longer.
--
-- ARGV     worker's rank, 1 if it is idle
-- Returns  1, or 0 if it was evicted or the run is over, of which no key may be made anew

local rank, is_idle = ARGV[1], ARGV[2] == '1'

if not is_member(rank) then return 0 end
call(is_idle and 'SADD' or 'SREM', key('idle'), rank)
return 1
