-- Lets another driver resume a run, if it is not over.
--
-- ARGV     see idempotent.lua; the request has
--   resumption  value: what that driver gets, sealed
--   driver_id
-- Returns  1

local earlier = run_gone() or not_the_driver(request.driver_id) or earlier_answer()
if earlier then return earlier end

call('SET', key('resumption'), value(request.resumption))
call('HSET', key('info'), 'resumable', 1)
return answer(1)
