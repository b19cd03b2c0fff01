-- Sends an event to the driver, if the run is not over.
--
-- ARGV     see idempotent.lua; the request has
--   event  value
-- Returns  1, or 0 if the run is over, of which no key may be made anew

if run_gone() or call('EXISTS', out) == 0 then return 0 end
local earlier = earlier_answer()
if earlier then return earlier end

call('XADD', out, '*', 'd', value(request.event))
return answer(1)
