-- What scripts begin with that change something: a call that is sent again, because its answer was
-- lost, gets that answer and has no further effect.
--
-- ARGV     the caller, the number of the call, the request as a JSON object, then the values that
--          the request refers to by their numbers, from 1
--
-- Each caller numbers its calls.  A gap means that the server has forgotten calls that it had
-- answered, as one may that was restarted from an older copy of its data: error reply BACK.  It
-- means nothing where all answers are gone, because they were deleted or evicted: error reply GONE.

local request = cjson.decode(ARGV[3])
local unfinished, answers, out = key('unfinished'), key('answers'), key('out')
local EMPTY = {}

-- The rows of a list of the request; lists that are empty are left out of it.
local function each(name) return ipairs(request[name] or EMPTY) end

local function value(number) return ARGV[3 + number] end

-- The answer to this call if it was processed before, or an error; nothing for a new call.
local function earlier_answer()
  local number, last, answer = tonumber(ARGV[2]), 0, nil
  local refusal = answers_gone()
  if refusal then return refusal end
  local stored = call('HGET', answers, ARGV[1])
  if stored then
    local pair = cmsgpack.unpack(stored)
    last, answer = pair[1], pair[2]
  end
  if last == number then return answer end
  if last ~= number - 1 then
    return redis.error_reply('BACK call ' .. number .. ' of ' .. ARGV[1] .. ' follows call ' .. last)
  end
  return nil
end

-- Stores the answer to this call, and returns it.
local function answer(value)
  call('HSET', answers, ARGV[1], cmsgpack.pack({ tonumber(ARGV[2]), value }))
  return value
end

-- Counts a task as finished.
local function end_task(pe)
  if call('HINCRBY', unfinished, pe, -1) == 0
    and call('SISMEMBER', key('watched'), pe) == 1 then
    call('XADD', out, '*', 'quiescent', pe)
  end
end

