-- Checks that the server has a caller's calls: after a fail-over it may be another server.
--
-- ARGV     the caller, the number of its last call that was answered
-- Returns  1
--          -- or an error reply as idempotent.lua says

local caller, number = ARGV[1], tonumber(ARGV[2])

local refusal = run_gone() or answers_gone()
if refusal then return refusal end
local stored = call('HGET', key('answers'), caller)
local last = stored and cmsgpack.unpack(stored)[1] or 0
if last < number and not is_evicted(caller) then
  return redis.error_reply('BACK call ' .. last .. ' of ' .. caller .. ' instead of ' .. number)
end
return 1
