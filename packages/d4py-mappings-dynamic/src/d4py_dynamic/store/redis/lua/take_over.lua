-- Makes another driver the driver of a run.
--
-- ARGV     see idempotent.lua; the request has
--   driver_id       of the new driver
--   last_heartbeat  of the previous driver, in milliseconds
--   host, process   of the new driver
-- Returns  1, or 0 if there was a later heartbeat

local earlier = run_gone() or earlier_answer()
if earlier then return earlier end

local last = call('HGET', key('members'), 'driver')
if tonumber(last) ~= request.last_heartbeat then return answer(0) end
call('HSET', key('members'), 'driver', now())
call('HSET', key('info'), 'driver', request.driver_id, 'host', request.host,
  'process', request.process)
return answer(1)
