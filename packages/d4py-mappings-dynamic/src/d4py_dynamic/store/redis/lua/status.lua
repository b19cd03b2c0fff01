-- Returns the state of the run to a worker.
--
-- ARGV     worker's rank, then streams of pinned instances
-- Returns  the load (see common.lua), then the lengths of the streams

local reply = load_of(ARGV[1])
for i = 2, #ARGV do reply[#reply + 1] = call('XLEN', ARGV[i]) end
return reply
