-- Adds tasks.
--
-- KEYS[1]  prefix of the run's keys
-- ARGV     see idempotent.lua; the driver's id, or nothing; then four lists, each as its length and
--          members:
--   tasks     stream, PE number or nothing if it counts nowhere, sealed task
--   finishing PE number: its instances are postprocessed from now on
--   orphans   field: what was left there is among the tasks
--   offsets       PE number, number of calls that were put for it in all, 1 if there will be no more
-- Returns  number of tasks that were added; one for the inbox of a worker that is gone is not

local prefix = KEYS[1]
local before = gone() or refused(ARGV[3]) or answered()
if before then return before end
local word = word_at(4)
local function list(width) return list_of(word, width) end
local tasks, finishing, orphans, offsets = list(3), list(1), list(1), list(3)
local unfinished = prefix .. ':unfinished'
local inbox = prefix .. ':inbox:'
local added = 0
for _, task in ipairs(tasks) do
  if string.sub(task[1], 1, #inbox) ~= inbox or redis.call('EXISTS', task[1]) == 1 then
    added = added + 1
    if task[2] == '' then
      redis.call('XADD', task[1], '*', 'd', task[3])
    else
      redis.call('HINCRBY', unfinished, task[2], 1)
      redis.call('XADD', task[1], '*', 'd', task[3], 'p', task[2])
    end
  end
end
for _, pe in ipairs(finishing) do redis.call('SADD', prefix .. ':finishing', pe[1]) end
for _, orphan in ipairs(orphans) do redis.call('HDEL', prefix .. ':orphans', orphan[1]) end
for _, root in ipairs(offsets) do
  redis.call('HSET', prefix .. ':offsets', root[1], root[2] .. (root[3] == '1' and '.' or ''))
end
return answer(added)
