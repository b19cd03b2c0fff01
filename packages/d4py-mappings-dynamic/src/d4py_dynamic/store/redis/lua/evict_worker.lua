-- Gives a worker up: it can commit nothing any more, and its shared tasks can be taken again.
--
-- KEYS[1]  prefix of the run's keys
-- ARGV     see idempotent.lua; the driver's id, worker's consumer name, worker's rank, its inbox, 1 if
--          what it had may be to blame and 0 if it has left, then the pinned instances it owns, each
--          with its stream
-- Returns  the shared tasks that it had, each as sealed task, delivery_count, sealed position; the numbers
--          of the PEs of which it had a replica; for each of its instances, how many owners were
--          lost over it, or 0 if it had no tasks; and '0' if it was in an
--          attempt that was not in a call
--
--          -- or an error reply that starts with GONE when the run is over
--
-- The first loss counts for all that the worker had, and for what it was at it counts once more.

local prefix = KEYS[1]
local group = 'workers'
local worker, rank, inbox, count_delivery = ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
local shared, begun = prefix .. ':shared', prefix .. ':begun'
local unfinished = prefix .. ':unfinished'

local before = gone() or refused(ARGV[3]) or answered()
if before then return before end
if redis.call('HDEL', prefix .. ':members', rank) == 0 then
  return answer({ {}, {}, {}, '' })
end
redis.call('HDEL', prefix .. ':answers', rank)
local attempt = redis.call('HGET', prefix .. ':attempts', rank) or ''
redis.call('HDEL', prefix .. ':attempts', rank)
redis.call('SREM', prefix .. ':idle', rank)
redis.call('SREM', prefix .. ':paused', rank)

local function delivery_count_of(delivery, told)
  local before = tonumber(redis.call('HGET', prefix .. ':delivery_counts', delivery) or told) or 0
  if count_delivery == 0 then return before end
  return math.max(before, 1) + (string.sub(attempt, 2) == delivery and 1 or 0)
end

local given_back = {}
repeat
  local pending = redis.call('XPENDING', shared, group, '-', '+', 100, worker)
  for _, entry in ipairs(pending) do
    local id = entry[1]
    local field = shared .. ' ' .. id
    for _, found in ipairs(redis.call('XRANGE', shared, id, id)) do
      local task = {}
      for i = 1, #found[2], 2 do task[found[2][i]] = found[2][i + 1] end
      if task['d'] and task['p'] then
        local delivery_count = delivery_count_of(id, task['n'])
        local position = redis.call('HGET', begun, field) or task['r'] or ''
        redis.call('XADD', shared, '*', 'd', task['d'], 'p', task['p'], 'n', delivery_count, 'r', position)
        given_back[#given_back + 1] = { task['d'], delivery_count, position }
      end
    end
    redis.call('XACK', shared, group, id)
    redis.call('XDEL', shared, id)
    redis.call('HDEL', begun, field)
    redis.call('HDEL', prefix .. ':delivery_counts', id)
  end
until #pending == 0

for _, found in ipairs(redis.call('XRANGE', inbox, '-', '+')) do
  for i = 1, #found[2], 2 do
    if found[2][i] == 'p' then
      local pe = found[2][i + 1]
      if redis.call('HINCRBY', unfinished, pe, -1) == 0
        and redis.call('SISMEMBER', prefix .. ':watched', pe) == 1 then
        redis.call('XADD', prefix .. ':out', '*', 'quiescent', pe)
      end
    end
  end
end
redis.call('DEL', inbox)

local replicas = {}
for _, name in ipairs(redis.call('SMEMBERS', prefix .. ':replicas')) do
  local pe, of = string.match(name, '(%d+)/(%d+)')
  if of == rank then
    redis.call('SREM', prefix .. ':replicas', name)
    redis.call('HINCRBY', unfinished, 'replicas', -1)
    replicas[#replicas + 1] = tonumber(pe)
  end
end

local delivery_count = {}
for i = 8, #ARGV, 2 do
  local count = 0
  if #redis.call('XPENDING', ARGV[i + 1], group, '-', '+', 1, worker) > 0 then
    count = delivery_count_of(ARGV[i], 0)
    redis.call('HSET', prefix .. ':delivery_counts', ARGV[i], count)
  end
  delivery_count[#delivery_count + 1] = count
end
return answer({ given_back, replicas, delivery_count, string.sub(attempt, 1, 1) })
