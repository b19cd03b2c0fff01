-- Adds a worker to a run.
--
-- ARGV     see idempotent.lua; the request has
--   driver_id  of the driver; may lack
-- Returns  the worker's rank

local earlier = run_gone() or not_the_driver(request.driver_id) or earlier_answer()
if earlier then return earlier end

local rank = call('HINCRBY', unfinished, 'joined', 1) - 1
call('XGROUP', 'CREATE', key('inbox:' .. rank), GROUP, '0', 'MKSTREAM')
call('SADD', key('idle'), rank)
call('HSET', key('members'), rank, now())
return answer(rank)
