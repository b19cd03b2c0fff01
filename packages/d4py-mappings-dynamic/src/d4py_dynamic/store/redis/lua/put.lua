-- Adds tasks.
--
-- ARGV     see idempotent.lua; the request has
--   driver_id  of the driver; may lack
--   tasks      stream, PE number or '' if it is not counted, value
--   finishing  PE number: its instances are postprocessed from now on
--   orphans    field of an orphaned replica that is among the tasks
--   offsets    PE number, number of calls that were put for it in all, true if there will be no more
--   feeding    PE number of a root, its stream, number of tasks with which its queue is full; may
--              lack
-- Returns  number of tasks that were added; one for the inbox of a worker that was evicted is not
--          -- with `feeding`, 1 if the queue is full now, else 0: then wake_feeders (common.lua)
--          pushes something to the list room:(PE number) when it is not full any more

local function add_tasks()
  local inbox = key('inbox:')
  local added = 0
  for _, task in each('tasks') do
    local stream, pe, sealed = unpack(task)
    local is_inbox = string.sub(stream, 1, #inbox) == inbox
    if not is_inbox or is_member(string.sub(stream, #inbox + 1)) then
      added = added + 1
      if pe == '' then
        call('XADD', stream, '*', 'd', value(sealed))
      else
        call('HINCRBY', unfinished, pe, 1)
        call('XADD', stream, '*', 'd', value(sealed), 'p', pe)
      end
    end
  end
  return added
end

local function feed()
  local root, stream, limit = unpack(request.feeding)
  call('DEL', key('room:' .. root))
  local is_full = queued(stream) >= limit
  call('HSET', key('feeding'), root, is_full and (limit .. ' ' .. stream) or '')
  return is_full and 1 or 0
end

local earlier = run_gone() or not_the_driver(request.driver_id) or earlier_answer()
if earlier then return earlier end

local added = add_tasks()
for _, pe in each('finishing') do call('SADD', key('finishing'), pe) end
for _, field in each('orphans') do call('HDEL', key('orphans'), field) end
for _, offset in each('offsets') do
  local pe, calls, ended = unpack(offset)
  call('HSET', key('offsets'), pe, calls .. (ended and '.' or ''))
end
return answer(request.feeding and feed() or added)
