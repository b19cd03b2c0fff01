-- One commit: what follows from a worker's leases, their end, and the counts, in one step.
--
-- KEYS[1]  prefix of the run's keys
-- ARGV     worker's consumer name, worker's rank, then five lists, each as its length and members:
--   leases    stream, entry id, PE number
--   tasks     stream, PE number, sealed task
--   results   sealed batch
--   counters  PE number, calls, microseconds
--   replicas  PE number
-- Returns    number of hungry workers, number of result entries that wait, then the length of each
--            stream in `tasks`
--            -- or an error reply that starts with LOST when a lease is not this worker's any more,
--            with GONE when the counts have been deleted, be it that the run is over.
--
-- Nothing is written before all leases are checked; and the first write is one that a server out
-- of memory refuses, so that the commit fails as a whole.

local prefix = KEYS[1]
local group = 'workers'
local worker, rank = ARGV[1], ARGV[2]
local at = 3

local function word()
  local value = ARGV[at]
  at = at + 1
  return value
end

local function list(width)
  local rows = {}
  for i = 1, tonumber(word()) do
    local row = {}
    for j = 1, width do row[j] = word() end
    rows[i] = row
  end
  return rows
end

local leases, tasks, results, counters, replicas = list(3), list(3), list(1), list(3), list(1)
local unfinished = prefix .. ':unfinished'
local out = prefix .. ':out'

if redis.call('HEXISTS', unfinished, 'intact') == 0 then
  return redis.error_reply('GONE ' .. unfinished)
end
for _, lease in ipairs(leases) do
  local pending = redis.call('XPENDING', lease[1], group, lease[2], lease[2], 1)
  if #pending == 0 or pending[1][2] ~= worker then
    return redis.error_reply('LOST lease ' .. lease[2] .. ' of ' .. lease[1])
  end
end

if #results > 0 then
  redis.call('HINCRBY', unfinished, 'results', #results)
end
for _, result in ipairs(results) do
  redis.call('XADD', out, '*', 'd', result[1])
end
for _, task in ipairs(tasks) do
  redis.call('HINCRBY', unfinished, task[2], 1)
  redis.call('XADD', task[1], '*', 'd', task[3])
end
for _, counter in ipairs(counters) do
  redis.call('HINCRBY', prefix .. ':calls', counter[1] .. '/' .. rank, counter[2])
  redis.call('HINCRBY', prefix .. ':busy', counter[1] .. '/' .. rank, counter[3])
end
for _, replica in ipairs(replicas) do
  redis.call('HINCRBY', unfinished, 'replicas', 1)
  redis.call('SADD', prefix .. ':replicas', replica[1] .. '/' .. rank)
end
for _, lease in ipairs(leases) do
  redis.call('XACK', lease[1], group, lease[2])
  redis.call('XDEL', lease[1], lease[2])
  if redis.call('HINCRBY', unfinished, lease[3], -1) == 0
    and redis.call('SISMEMBER', prefix .. ':watched', lease[3]) == 1 then
    redis.call('XADD', out, '*', 'drained', lease[3])
  end
end

local reply = { redis.call('SCARD', prefix .. ':hungry'), redis.call('XLEN', out) }
for _, task in ipairs(tasks) do
  reply[#reply + 1] = redis.call('XLEN', task[1])
end
return reply
