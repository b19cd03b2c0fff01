-- What every script begins with.
--
-- KEYS[1]  prefix of the run's keys
--
-- Scripts use keys that they derive from the prefix and do not declare.  So a run cannot use a Redis
-- Cluster, which must know all keys of a script in advance to find the node that has them.

local call = redis.call
local prefix = KEYS[1]
local GROUP = 'workers'

local function key(name) return prefix .. ':' .. name end

local function consumer(rank) return 'worker-' .. rank end

local function is_member(rank) return call('HEXISTS', key('members'), rank) == 1 end

-- Milliseconds of the server's clock.
local function now()
  local clock = call('TIME')
  return clock[1] * 1000 + math.floor(clock[2] / 1000)
end

