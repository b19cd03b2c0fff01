-- One commit: what follows from a worker's leases, their end, states, positions and the counts, in
-- one step.
--
-- KEYS[1]  prefix of the run's keys
-- ARGV     see idempotent.lua; worker's consumer name, worker's rank, what it is about to attempt (an
--          instance or an entry id, or nothing) and 1 if that is in a call, then eleven lists, each
--          as its length and members:
--   leases    stream, entry id, PE number or nothing if it counts nowhere
--   tasks     stream, PE number, sealed task
--   results   sealed batch
--   counters  PE number, calls, microseconds
--   replicas  PE number
--   finished  PE number
--   states    pinned instance, sealed state
--   pinned    pinned instance, sealed position
--   begun     stream, entry id, sealed position
--   progressed    pinned instance or entry id
--   orphans   PE number, sealed replica
-- Returns    number of idle workers beyond the shared tasks that wait for them, number of shared
--            tasks that wait, number of result entries that wait, number of tasks in this worker's
--            inbox, then the length of each stream in `tasks`
--            -- or an error reply that starts with LOST when this worker was given up or a lease is
--            not its own any more, with GONE when the counts have been deleted, be it that the run
--            is over, with BACK as idempotent.lua says.
--
-- Nothing is written before all leases are checked; and the first write is one that a server out
-- of memory refuses, so that the commit fails as a whole.

local prefix = KEYS[1]
local group = 'workers'
local worker, rank, attempt, in_call = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local word = word_at(7)
local function list(width) return list_of(word, width) end

local leases, tasks, results, counters = list(3), list(3), list(1), list(3)
local replicas, finished, states, pinned = list(1), list(1), list(2), list(2)
local begun, progressed, orphans = list(3), list(1), list(2)
local unfinished = prefix .. ':unfinished'
local out = prefix .. ':out'

local function check(stream, id)
  local pending = redis.call('XPENDING', stream, group, id, id, 1)
  return #pending > 0 and pending[1][2] == worker
end

local over = gone()
if over then return over end
if redis.call('EXISTS', prefix .. ':members') == 0 then
  return redis.error_reply('GONE ' .. prefix .. ':members')
end
if redis.call('HEXISTS', prefix .. ':members', rank) == 0 then
  return redis.error_reply('LOST worker ' .. rank)
end
local before = answered()
if before then return before end
for _, lease in ipairs(leases) do
  if not check(lease[1], lease[2]) then
    return redis.error_reply('LOST lease ' .. lease[2] .. ' of ' .. lease[1])
  end
end

redis.call('HINCRBY', unfinished, 'results', #results)
for _, result in ipairs(results) do
  redis.call('XADD', out, '*', 'd', result[1])
end
for _, task in ipairs(tasks) do
  redis.call('HINCRBY', unfinished, task[2], 1)
  redis.call('XADD', task[1], '*', 'd', task[3], 'p', task[2])
end
for _, counter in ipairs(counters) do
  redis.call('HINCRBY', prefix .. ':calls', counter[1] .. '/' .. rank, counter[2])
  redis.call('HINCRBY', prefix .. ':busy', counter[1] .. '/' .. rank, counter[3])
end
for _, replica in ipairs(replicas) do
  redis.call('HINCRBY', unfinished, 'replicas', 1)
  redis.call('SADD', prefix .. ':replicas', replica[1] .. '/' .. rank)
end
for _, orphan in ipairs(orphans) do
  redis.call('HSET', prefix .. ':orphans', orphan[1] .. '/' .. rank, orphan[2])
  finished[#finished + 1] = orphan
end
for _, replica in ipairs(finished) do
  local gone = redis.call('SREM', prefix .. ':replicas', replica[1] .. '/' .. rank)
  if gone > 0 then redis.call('HINCRBY', unfinished, 'replicas', -gone) end
end
for _, state in ipairs(states) do
  redis.call('HSET', prefix .. ':states', state[1], state[2])
end
for _, position in ipairs(pinned) do
  redis.call('HSET', prefix .. ':positions', position[1], position[2])
end
for _, lease in ipairs(begun) do
  redis.call('HSET', prefix .. ':begun', lease[1] .. ' ' .. lease[2], lease[3])
end
for _, delivery in ipairs(progressed) do
  redis.call('HSET', prefix .. ':delivery_counts', delivery[1], 0)
end
if attempt == '' then
  redis.call('HDEL', prefix .. ':attempts', rank)
else
  redis.call('HSET', prefix .. ':attempts', rank, in_call .. attempt)
end
for _, lease in ipairs(leases) do
  redis.call('XACK', lease[1], group, lease[2])
  redis.call('XDEL', lease[1], lease[2])
  redis.call('HDEL', prefix .. ':begun', lease[1] .. ' ' .. lease[2])
  redis.call('HDEL', prefix .. ':delivery_counts', lease[2])
  if lease[3] ~= '' and redis.call('HINCRBY', unfinished, lease[3], -1) == 0
    and redis.call('SISMEMBER', prefix .. ':watched', lease[3]) == 1 then
    redis.call('XADD', out, '*', 'quiescent', lease[3])
  end
end

local shared = prefix .. ':shared'
local waiting = redis.call('XLEN', shared) - redis.call('XPENDING', shared, group)[1]
local idle = redis.call('SCARD', prefix .. ':idle') + redis.call('SCARD', prefix .. ':paused')
local reply = {
  math.max(0, idle - math.max(0, waiting)),
  math.max(0, waiting),
  redis.call('XLEN', out),
  redis.call('XLEN', prefix .. ':inbox:' .. rank),
}
for _, task in ipairs(tasks) do
  reply[#reply + 1] = redis.call('XLEN', task[1])
end
return answer(reply)
