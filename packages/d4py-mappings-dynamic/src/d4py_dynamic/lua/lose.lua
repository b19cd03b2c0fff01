-- Gives a worker up: it can commit nothing any more, and its shared tasks can be taken again.
--
-- KEYS[1]  prefix of the run's keys
-- ARGV     worker's consumer name, worker's rank, its inbox, 1 if what it had may be to blame and 0
--          if it has left, then the pinned instances it owns, each with its stream
-- Returns  the shared tasks that it had, each as sealed task, losses, sealed position; the numbers
--          of the PEs of which it had a replica; and for each of its instances, how many owners in
--          a row were lost with tasks of it, or 0 if it had none

local prefix = KEYS[1]
local group = 'workers'
local worker, rank, inbox, blame = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local shared, begun = prefix .. ':shared', prefix .. ':begun'
local unfinished = prefix .. ':unfinished'

if redis.call('HDEL', prefix .. ':members', rank) == 0 then
  return { {}, {}, {} }
end
redis.call('SREM', prefix .. ':hungry', rank)
redis.call('SREM', prefix .. ':parked', rank)

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
        local losses = (tonumber(task['n']) or 0) + blame
        local position = redis.call('HGET', begun, field) or task['r'] or ''
        redis.call('XADD', shared, '*', 'd', task['d'], 'p', task['p'], 'n', losses, 'r', position)
        given_back[#given_back + 1] = { task['d'], losses, position }
      end
    end
    redis.call('XACK', shared, group, id)
    redis.call('XDEL', shared, id)
    redis.call('HDEL', begun, field)
  end
until #pending == 0

for _, found in ipairs(redis.call('XRANGE', inbox, '-', '+')) do
  for i = 1, #found[2], 2 do
    if found[2][i] == 'p' then
      local pe = found[2][i + 1]
      if redis.call('HINCRBY', unfinished, pe, -1) == 0
        and redis.call('SISMEMBER', prefix .. ':watched', pe) == 1 then
        redis.call('XADD', prefix .. ':out', '*', 'drained', pe)
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

local losses = {}
for i = 5, #ARGV, 2 do
  local count = 0
  if #redis.call('XPENDING', ARGV[i + 1], group, '-', '+', 1, worker) > 0 then
    count = redis.call('HINCRBY', prefix .. ':losses', ARGV[i], blame)
  end
  losses[#losses + 1] = count
end
return { given_back, replicas, losses }
