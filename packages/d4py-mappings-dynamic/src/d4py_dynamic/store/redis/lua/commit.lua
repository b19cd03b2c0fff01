-- One commit, in one step; the steps of `memory/commit.py`, in its order.
--
-- ARGV     see idempotent.lua; the request has
--   rank                of the worker
--   leases              stream, entry id, PE number or '' if it is not counted
--   results             value
--   tasks               stream, PE number, value
--   counters            PE number, calls, microseconds
--   replicas            PE number
--   orphans             PE number, value
--   finished            PE number
--   states              pinned instance, value
--   instance_positions  pinned instance, value
--   lease_positions     stream, entry id, value
--   progressed          pinned instance or entry id
--   attempt             1 if it is in a call, else 0, and the pinned instance or entry id; may lack
-- Returns  the load (see common.lua); number of tasks that wait for the instances whose leases have
--          ended; for each of the `tasks` the length of its stream, and microseconds of a call of
--          its PE as last reported, or -1
--          -- or an error reply that starts with LOST when this worker was evicted or a lease is no
--          longer its own, with GONE when keys are missing, with BACK as idempotent.lua says
--
-- Nothing is written before all leases are checked; and the first write is one that a server out
-- of memory refuses, so that the commit fails as a whole.

local rank = request.rank

local function check_member()
  if call('EXISTS', key('members')) == 0 then
    return redis.error_reply('GONE ' .. key('members'))
  end
  if not is_member(rank) then return redis.error_reply('LOST worker ' .. rank) end
  return nil
end

local function check_leases()
  for _, lease in each('leases') do
    local stream, id = unpack(lease)
    local pending = call('XPENDING', stream, GROUP, id, id, 1)
    if #pending == 0 or pending[1][2] ~= consumer(rank) then
      return redis.error_reply('LOST lease ' .. id .. ' of ' .. stream)
    end
  end
  return nil
end

local function add_results()
  call('HINCRBY', unfinished, 'results', #(request.results or EMPTY))
  for _, result in each('results') do
    call('XADD', out, '*', 'd', value(result))
  end
end

local function add_followers()
  for _, task in each('tasks') do
    local stream, pe, sealed = unpack(task)
    call('HINCRBY', unfinished, pe, 1)
    call('XADD', stream, '*', 'd', value(sealed), 'p', pe)
  end
end

local function add_usage()
  for _, counter in each('counters') do
    local pe, calls, microseconds = unpack(counter)
    call('HINCRBY', key('calls'), pe .. '/' .. rank, calls)
    call('HINCRBY', key('busy'), pe .. '/' .. rank, microseconds)
    call('HSET', key('costs'), pe, math.floor(microseconds / calls))
  end
end

local function remove_replica(pe)
  local removed = call('SREM', key('replicas'), pe .. '/' .. rank)
  if removed > 0 then call('HINCRBY', unfinished, 'replicas', -removed) end
end

local function record_replicas()
  for _, pe in each('replicas') do
    call('HINCRBY', unfinished, 'replicas', 1)
    call('SADD', key('replicas'), pe .. '/' .. rank)
  end
  for _, orphan in each('orphans') do
    local pe, sealed = unpack(orphan)
    call('HSET', key('orphans'), pe .. '/' .. rank, value(sealed))
    remove_replica(pe)
  end
  for _, pe in each('finished') do remove_replica(pe) end
end

local function record_states()
  for _, state in each('states') do
    local pin, sealed = unpack(state)
    call('HSET', key('states'), pin, value(sealed))
  end
end

local function record_positions()
  for _, position in each('instance_positions') do
    local pin, sealed = unpack(position)
    call('HSET', key('positions'), pin, value(sealed))
  end
  for _, position in each('lease_positions') do
    local stream, id, sealed = unpack(position)
    call('HSET', key('lease_positions'), stream .. ' ' .. id, value(sealed))
  end
end

local function reset_delivery_counts()
  for _, delivery in each('progressed') do
    call('HSET', key('delivery_counts'), delivery, 0)
  end
end

local function record_attempt()
  if request.attempt then
    call('HSET', key('attempts'), rank, request.attempt)
  else
    call('HDEL', key('attempts'), rank)
  end
end

local function end_leases()
  for _, lease in each('leases') do
    local stream, id, pe = unpack(lease)
    call('XACK', stream, GROUP, id)
    call('XDEL', stream, id)
    call('HDEL', key('lease_positions'), stream .. ' ' .. id)
    call('HDEL', key('delivery_counts'), id)
    if pe ~= '' then end_task(pe) end
  end
end

-- Number of tasks in the streams of the instances whose leases have ended, that no worker has read.
local function waiting_for_instances()
  local waiting, seen = 0, { [key('shared')] = true, [key('inbox:' .. rank)] = true }
  for _, lease in each('leases') do
    local stream = lease[1]
    if not seen[stream] then
      seen[stream] = true
      waiting = waiting + call('XLEN', stream) - call('XPENDING', stream, GROUP)[1]
    end
  end
  return waiting
end

local function status()
  local reply = load_of(rank)
  reply[#reply + 1] = waiting_for_instances()
  for _, task in each('tasks') do
    local stream, pe = unpack(task)
    reply[#reply + 1] = call('XLEN', stream)
    reply[#reply + 1] = tonumber(call('HGET', key('costs'), pe) or -1)
  end
  return reply
end

local refusal = run_gone() or check_member()
if refusal then return refusal end
local earlier = earlier_answer()
if earlier then return earlier end
refusal = check_leases()
if refusal then return refusal end

add_results()
add_followers()
add_usage()
record_replicas()
record_states()
record_positions()
reset_delivery_counts()
record_attempt()
end_leases()
wake_feeders()
return answer(status())
