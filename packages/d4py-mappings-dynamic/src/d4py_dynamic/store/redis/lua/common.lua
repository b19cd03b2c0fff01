-- What every script begins with.
--
-- KEYS[1]  prefix of the run's keys
--
-- Scripts use keys that they derive from the prefix and do not declare.  In a Redis Cluster they are
-- on the same node, since all keys of a run have the same hash tag.

local call = redis.call
local prefix = KEYS[1]
local GROUP = 'workers'

local function key(name) return prefix .. ':' .. name end

local function consumer(rank) return 'worker-' .. rank end

local function is_member(rank) return call('HEXISTS', key('members'), rank) == 1 end

-- An error where the run is over, of which no key may be made anew; nothing otherwise.
local function run_gone()
  if call('HEXISTS', key('unfinished'), 'intact') == 1 then return nil end
  return redis.error_reply('GONE ' .. key('unfinished'))
end

-- An error where the answers to all callers are missing; nothing otherwise.
local function answers_gone()
  if call('HEXISTS', key('answers'), 'intact') == 1 then return nil end
  return redis.error_reply('GONE ' .. key('answers'))
end

-- An error where the caller is not the driver of the run: another one has taken over.
local function not_the_driver(driver_id)
  local driver = call('HGET', key('info'), 'driver')
  if driver and driver_id and driver ~= driver_id then
    return redis.error_reply('LOST driver ' .. driver_id)
  end
  return nil
end

-- Whether a caller is a worker that is no member any more.
local function is_evicted(caller)
  return tonumber(caller) ~= nil and not is_member(caller)
end

-- The field of the hash of answers with the last event that a driver has acknowledged.
local function events_of(driver_id) return 'events ' .. driver_id end

-- Milliseconds of the server's clock.
local function now()
  local clock = call('TIME')
  return clock[1] * 1000 + math.floor(clock[2] / 1000)
end

-- Number of tasks that a feeder counts: the unfinished ones of an instance, or the queued shared
-- ones.
local function queued(stream)
  local length = call('XLEN', stream)
  if stream ~= key('shared') then return length end
  return math.max(0, length - call('XPENDING', stream, GROUP)[1])
end

-- Wakes each feeder that waits for room in its queue (see put.lua), if there is some now.
local function wake_feeders()
  local waiting = call('HGETALL', key('feeding'))
  for i = 1, #waiting, 2 do
    local root = waiting[i]
    local limit, stream = string.match(waiting[i + 1], '^(%d+) (.+)$')
    if limit and queued(stream) < tonumber(limit) then
      call('HSET', key('feeding'), root, '')
      call('RPUSH', key('room:' .. root), 1)
    end
  end
end

-- The load as a worker sees it: number of other idle workers, of queued shared tasks, of queued
-- events, of tasks in the worker's inbox.
local function load_of(rank)
  local idle = 0
  for _, name in ipairs({ 'idle', 'paused' }) do
    idle = idle + call('SCARD', key(name)) - call('SISMEMBER', key(name), rank)
  end
  return {
    idle,
    queued(key('shared')),
    call('XLEN', key('out')),
    call('XLEN', key('inbox:' .. rank)),
  }
end
