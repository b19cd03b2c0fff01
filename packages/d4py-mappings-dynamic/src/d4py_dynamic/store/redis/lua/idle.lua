-- Counts a worker among those that are idle though they do not wait, or no longer.
--
-- KEYS[1]  prefix of the run's keys
-- ARGV     worker's rank, 1 if it is idle
-- Returns  1, or 0 if there is no such member, so that a run that is over gets no key anew

local prefix = KEYS[1]

if redis.call('HEXISTS', prefix .. ':members', ARGV[1]) == 0 then return 0 end
redis.call(ARGV[2] == '1' and 'SADD' or 'SREM', prefix .. ':idle', ARGV[1])
return 1
