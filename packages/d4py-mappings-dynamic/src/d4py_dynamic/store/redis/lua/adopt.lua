-- Makes a worker the owner of a pinned instance, with all that its last owner has not ended.
--
-- KEYS[1]  prefix of the run's keys
-- ARGV     worker's consumer name, worker's rank, the instance, its stream
-- Returns  sealed state, sealed position, number of owners lost in a row, then its leases as
--          entries of the stream, oldest first
--          -- or an error reply that starts with LOST when this worker was given up

local prefix = KEYS[1]
local group = 'workers'
local worker, rank, pin, stream = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

if redis.call('HEXISTS', prefix .. ':members', rank) == 0 then
  return redis.error_reply('LOST worker ' .. rank)
end

local leases = {}
local from = '-'
repeat
  local pending = redis.call('XPENDING', stream, group, from, '+', 100)
  for _, entry in ipairs(pending) do
    for _, found in ipairs(redis.call('XCLAIM', stream, group, worker, 0, entry[1])) do
      leases[#leases + 1] = found
    end
    from = '(' .. entry[1]
  end
until #pending == 0
return {
  redis.call('HGET', prefix .. ':states', pin),
  redis.call('HGET', prefix .. ':positions', pin),
  tonumber(redis.call('HGET', prefix .. ':delivery_counts', pin) or 0),
  leases,
}
