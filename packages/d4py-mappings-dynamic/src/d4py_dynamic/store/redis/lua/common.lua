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

-- The load as a worker sees it: number of other idle workers beyond the shared tasks that are queued
-- for them, number of queued shared tasks, of queued events, of tasks in the worker's inbox.
local function load_of(rank)
  local backlog = queued(key('shared'))
  local idle = 0
  for _, name in ipairs({ 'idle', 'paused' }) do
    idle = idle + call('SCARD', key(name)) - call('SISMEMBER', key(name), rank)
  end
  return {
    math.max(0, idle - backlog),
    backlog,
    call('XLEN', key('out')),
    call('XLEN', key('inbox:' .. rank)),
  }
end
