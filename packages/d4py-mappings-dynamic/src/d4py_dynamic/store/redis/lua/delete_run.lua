-- Deletes all keys of a run, and its entry in the list of runs.
--
-- ARGV     the list of runs, or '' where another node has it; the run's id; the keys that every run has
-- Returns  1

local joined = tonumber(call('HGET', key('unfinished'), 'joined')) or 0
for _, rank in ipairs(call('HKEYS', key('members'))) do  -- the counts may have been deleted
  joined = math.max(joined, (tonumber(rank) or -1) + 1)
end
for rank = 0, joined - 1 do call('UNLINK', key('inbox:' .. rank)) end
for _, root in ipairs(call('HKEYS', key('feeding'))) do call('UNLINK', key('room:' .. root)) end
for i = 3, #ARGV do call('UNLINK', ARGV[i]) end
if ARGV[1] ~= '' then call('SREM', ARGV[1], ARGV[2]) end
return 1
