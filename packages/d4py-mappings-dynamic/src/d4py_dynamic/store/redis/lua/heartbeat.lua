-- Records the heartbeat of a worker, or of the driver.
--
-- ARGV     worker's rank, or 'driver'; the driver's id, or nothing; the worker's own connection, or
--          nothing where another process sends for it
-- Returns  1, or for the driver the heartbeats of all members, as a flat list of member and time; 0
--          if that worker was evicted, another driver has taken over, or the run is over

local member, driver_id = ARGV[1], ARGV[2]

local function is_expected()
  if member ~= 'driver' then return is_member(member) end
  return call('EXISTS', key('unfinished')) == 1
    and call('HGET', key('info'), 'driver') == driver_id
end

if not is_expected() then return 0 end
call('HSET', key('members'), member, now())
if ARGV[3] then call('HSET', key('connections'), member, ARGV[3]) end
return member == 'driver' and call('HGETALL', key('members')) or 1
