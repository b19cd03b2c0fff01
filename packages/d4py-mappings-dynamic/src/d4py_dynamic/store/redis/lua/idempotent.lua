-- What scripts begin with that change something: a call that is sent again, because its answer was
-- lost, gets that answer and comes to pass no second time.
--
-- KEYS[1]  prefix of the run's keys
-- ARGV     who calls, the number of the call, then what the script itself takes
--
-- Each caller counts its calls.  A gap means that the server has forgotten calls that it had
-- answered, as one may that was restarted from an older copy of its data: error reply BACK.  It
-- means nothing where all answers are gone, which somebody has deleted or evicted: GONE.

local function word_at(start)
  local at = start - 1
  return function()
    at = at + 1
    return ARGV[at]
  end
end

local function list_of(word, width)
  local rows = {}
  for i = 1, tonumber(word()) do
    local row = {}
    for j = 1, width do row[j] = word() end
    rows[i] = row
  end
  return rows
end

-- Of a run that is over nothing may be made anew.
local function gone()
  local unfinished = KEYS[1] .. ':unfinished'
  if redis.call('HEXISTS', unfinished, 'intact') == 1 then return nil end
  return redis.error_reply('GONE ' .. unfinished)
end

local function answered()
  local number, last, answer = tonumber(ARGV[2]), 0, nil
  local answers = KEYS[1] .. ':answers'
  if redis.call('HEXISTS', answers, 'intact') == 0 then
    return redis.error_reply('GONE ' .. answers)
  end
  local kept = redis.call('HGET', answers, ARGV[1])
  if kept then
    local pair = cmsgpack.unpack(kept)
    last, answer = pair[1], pair[2]
  end
  if last == number then return answer end
  if last ~= number - 1 then
    return redis.error_reply('BACK call ' .. number .. ' of ' .. ARGV[1] .. ' follows call ' .. last)
  end
  return nil
end

local function answer(value)
  redis.call('HSET', KEYS[1] .. ':answers', ARGV[1], cmsgpack.pack({ tonumber(ARGV[2]), value }))
  return value
end

-- A run has one driver: the one that took it over last, where it has been taken over.
local function refused(driver_id)
  local driver = redis.call('HGET', KEYS[1] .. ':info', 'driver')
  if driver and driver_id ~= '' and driver ~= driver_id then
    return redis.error_reply('LOST driver ' .. driver_id)
  end
  return nil
end

