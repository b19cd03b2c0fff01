-- Evicts a worker: it can commit nothing any more, and its shared tasks can be taken again.  The
-- steps of `memory/eviction.py`, in its order.
--
-- ARGV     see idempotent.lua; the request has
--   driver_id       of the driver; may lack
--   rank            of the worker
--   pins            pinned instance that it owns, stream of the instance
--   count_delivery  true if what it had may be the reason for its loss
-- Returns  the shared tasks that it had, each as sealed task, delivery count, sealed position; the
--          numbers of the PEs of which it had a replica; for each of its instances the delivery
--          count, or 0 if it had no tasks; '0' if its attempt was not in a call
--          -- or an error reply as idempotent.lua says
--
-- The first loss counts for everything that the worker had, and once more for its attempt.

local rank = tostring(request.rank)
local shared = key('shared')

local function remove_member()
  if call('HDEL', key('members'), rank) == 0 then return nil end
  call('HDEL', answers, rank)
  call('HDEL', key('connections'), rank)
  call('SREM', key('idle'), rank)
  call('SREM', key('paused'), rank)
  local attempt = call('HGET', key('attempts'), rank) or ''
  call('HDEL', key('attempts'), rank)
  return attempt
end

-- Without its group, a read that waits there ends with an error, before it can take a task that is
-- returned.  Where a stream is deleted, such a read goes on before Redis 7.0; so it stays for a while.
local function close_inbox()
  local inbox = key('inbox:' .. rank)
  for _, found in ipairs(call('XRANGE', inbox, '-', '+')) do
    for i = 1, #found[2], 2 do
      if found[2][i] == 'p' then end_task(found[2][i + 1]) end
    end
  end
  call('XTRIM', inbox, 'MAXLEN', 0)
  call('XGROUP', 'DESTROY', inbox, GROUP)
  call('EXPIRE', inbox, 60)
end

local function delivery_counter(attempted)
  return function(delivery, entry_count)
    local stored = call('HGET', key('delivery_counts'), delivery)
    local before = tonumber(stored or entry_count) or 0
    if not request.count_delivery then return before end
    return math.max(before, 1) + (delivery == attempted and 1 or 0)
  end
end

local function return_shared_task(id, flat, count_of)
  local task = {}
  for i = 1, #flat, 2 do task[flat[i]] = flat[i + 1] end
  if not (task['d'] and task['p']) then return nil end
  local count = count_of(id, task['n'])
  local position = call('HGET', key('lease_positions'), shared .. ' ' .. id) or task['r'] or ''
  call('XADD', shared, '*', 'd', task['d'], 'p', task['p'], 'n', count, 'r', position)
  return { task['d'], count, position }
end

local function return_shared_tasks(count_of)
  local returned = {}
  repeat
    local pending = call('XPENDING', shared, GROUP, '-', '+', 100, consumer(rank))
    for _, entry in ipairs(pending) do
      local id = entry[1]
      for _, found in ipairs(call('XRANGE', shared, id, id)) do
        returned[#returned + 1] = return_shared_task(id, found[2], count_of)
      end
      call('XACK', shared, GROUP, id)
      call('XDEL', shared, id)
      call('HDEL', key('lease_positions'), shared .. ' ' .. id)
      call('HDEL', key('delivery_counts'), id)
    end
  until #pending == 0
  return returned
end

local function remove_replicas()
  local replicas = {}
  for _, name in ipairs(call('SMEMBERS', key('replicas'))) do
    local pe, owner = string.match(name, '(%d+)/(%d+)')
    if owner == rank then
      call('SREM', key('replicas'), name)
      call('HINCRBY', unfinished, 'replicas', -1)
      replicas[#replicas + 1] = tonumber(pe)
    end
  end
  return replicas
end

local function release_instances(count_of)
  local counts = {}
  for _, row in each('pins') do
    local pin, stream = unpack(row)
    local count = 0
    if #call('XPENDING', stream, GROUP, '-', '+', 1, consumer(rank)) > 0 then
      count = count_of(pin, 0)
      call('HSET', key('delivery_counts'), pin, count)
    end
    counts[#counts + 1] = count
  end
  return counts
end

local earlier = run_gone() or not_the_driver(request.driver_id) or earlier_answer()
if earlier then return earlier end

local attempt = remove_member()
if not attempt then return answer({ {}, {}, {}, '' }) end
close_inbox()
local count_of = delivery_counter(string.sub(attempt, 2))
local returned = return_shared_tasks(count_of)
local replicas = remove_replicas()
local counts = release_instances(count_of)
return answer({ returned, replicas, counts, string.sub(attempt, 1, 1) })
