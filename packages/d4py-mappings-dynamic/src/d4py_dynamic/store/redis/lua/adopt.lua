-- Makes a worker the owner of a pinned instance, with the leases of its previous owner.
--
-- ARGV     worker's rank, the instance, its stream
-- Returns  sealed state, sealed position, delivery count, then the leases as entries of the stream,
--          oldest first
--          -- or an error reply that starts with LOST when this worker was evicted

local rank, pin, stream = ARGV[1], ARGV[2], ARGV[3]

local function claim_leases()
  local leases = {}
  local from = '-'
  repeat
    local pending = call('XPENDING', stream, GROUP, from, '+', 100)
    for _, entry in ipairs(pending) do
      for _, found in ipairs(call('XCLAIM', stream, GROUP, consumer(rank), 0, entry[1])) do
        leases[#leases + 1] = found
      end
      from = '(' .. entry[1]
    end
  until #pending == 0
  return leases
end

if not is_member(rank) then return redis.error_reply('LOST worker ' .. rank) end
local leases = claim_leases()
return {
  call('HGET', key('states'), pin),
  call('HGET', key('positions'), pin),
  tonumber(call('HGET', key('delivery_counts'), pin) or 0),
  leases,
}
