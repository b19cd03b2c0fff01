-- Compares what is counted with what is stored, so that the driver detects a loss.
--
-- ARGV     PEs to watch from now on, as a JSON list; the driver's id; the streams of tasks that are no
--          inboxes
-- Returns  numbers of stored tasks, of queued events, of replicas; the counts as a flat list of field
--          and value; the last event that the driver has acknowledged, or ''

if call('EXISTS', key('unfinished')) == 1 then
  for _, pe in ipairs(cjson.decode(ARGV[1])) do call('SADD', key('watched'), pe) end
end
local tasks = 0
for i = 3, #ARGV do tasks = tasks + call('XLEN', ARGV[i]) end
for _, rank in ipairs(call('HKEYS', key('members'))) do
  tasks = tasks + call('XLEN', key('inbox:' .. rank))
end
return {
  tasks,
  call('XLEN', key('out')),
  call('SCARD', key('replicas')),
  call('HGETALL', key('unfinished')),
  call('HGET', key('answers'), events_of(ARGV[2])) or '',
}
