-- Deletes events that the driver has read; results are archived first where another driver may take
-- over.  What the driver reads next, in the same packet, is therefore new to it.
--
-- ARGV     the driver's id; the last event that it has acknowledged before, or ''; the last event
--          that it acknowledges now, or ''; the number of events to archive; their ids; the ids of
--          the other events
-- Returns  number of events that were deleted: none if the call is repeated
--          -- or an error reply that starts with LOST when another driver has taken over, with GONE
--          when keys are missing, with BACK when the server has forgotten what it had handed out, or
--          what was acknowledged

local driver_id, before, last, archived = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local FIRST, AT_ONCE = 5, 1000
local out = key('out')

local function archive(id)
  for _, entry in ipairs(call('XRANGE', out, id, id)) do
    call('XADD', key('archive'), '*', unpack(entry[2]))
  end
end

-- Whether the stream is the one that was made with the run, together with its group.
local function is_intact()
  return call('EXISTS', out) == 1 and #call('XINFO', 'GROUPS', out) > 0
end

local refusal = run_gone() or answers_gone() or not_the_driver(driver_id)
if refusal then return refusal end
local acknowledged = call('HGET', key('answers'), events_of(driver_id)) or ''
if last ~= '' and acknowledged == last then return 0 end
if acknowledged ~= before then
  return redis.error_reply('BACK event ' .. acknowledged .. ' instead of ' .. before)
end
if last == '' then return 0 end

for i = FIRST, FIRST + archived - 1 do archive(ARGV[i]) end
local deleted = 0
for i = FIRST, #ARGV, AT_ONCE do
  deleted = deleted + call('XDEL', out, unpack(ARGV, i, math.min(#ARGV, i + AT_ONCE - 1)))
end
if deleted == #ARGV - FIRST + 1 then
  -- Not before: a call that is repeated since its reply was lost must get the error, too.
  call('HSET', key('answers'), events_of(driver_id), last)
  return deleted
end
if is_intact() then return redis.error_reply('BACK events up to ' .. last .. ' are missing') end
return redis.error_reply('GONE ' .. out)
