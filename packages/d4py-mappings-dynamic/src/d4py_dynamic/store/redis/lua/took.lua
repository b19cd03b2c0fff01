-- What a worker sends behind each read of tasks: it waits no longer.
--
-- ARGV     worker's rank
-- Returns  the load (see common.lua); of a run that is over, or where the worker was evicted, zeros

local rank = ARGV[1]

call('SREM', key('idle'), rank)
call('SREM', key('paused'), rank)
if not is_member(rank) then return { 0, 0, 0, 0 } end
wake_feeders()
return load_of(rank)
