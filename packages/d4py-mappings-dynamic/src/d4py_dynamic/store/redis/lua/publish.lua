-- Keeps events of a run for those who watch it, if the run is not over.
--
-- ARGV     see idempotent.lua; the request has
--   events  value: sealed events
--   began   value: the first event, sealed, if it is among them
--   kept    how many entries are kept
--   driver_id
-- Returns  1, or 0 if the run is over, of which no key may be made anew, or has another driver

if run_gone() or not_the_driver(request.driver_id) then return 0 end
local earlier = earlier_answer()
if earlier then return earlier end

if request.began then call('SET', key('began'), value(request.began)) end
call('XADD', key('events'), 'MAXLEN', request.kept, '*', 'd', value(request.events))
return answer(1)
