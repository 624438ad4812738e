-- exchange: for one worker process and one queue: forgets the messages the worker has acknowledged, then takes new
-- ones. One call for both, however many messages.
--
-- A payload is deleted only if this worker still held the message: a late acknowledgement of a message that another
-- worker got meanwhile changes nothing. A taken id without a payload is dropped and does not count: there is nothing to
-- run. Each id is returned with its payload, so that an unreadable one can be put aside by its id.
--
-- An id that is not ours is read and never popped: taking ends there. `sift` finds ours behind it.
--
-- KEYS     list of waiting ids; hash id -> payload, until done; set of ids this worker took and has not acknowledged;
--          zset worker id -> last call in ms; the database's mark; hash id -> priority of those other than 0, until done.
--          The first four as Dramatiq's dashboards read them.
-- ARGV     worker id, now in ms, number of jobs to take, and beyond that number of those more urgent than a floor, the
--          floor, most suspects for one process, our database's mark or nothing, 1 to take any id,
--          then id done, id done, …
-- Returns 1 if the first id left is not ours, else 0; 1 if all was taken that may go beyond the number, else 0; then
-- id, payload, priority, id, payload, priority, …
--
-- The number to take counts jobs, which the mark of an id tells (see _ours.lua). A message of several counts for all of
-- them; the last one taken may bring more than was asked for. After a message whose job runs isolated, those of that
-- kind that follow it are taken too, up to the most suspects for one process.

local list, payloads, held, priorities = KEYS[1], KEYS[2], KEYS[3], KEYS[6]
local other = owner_if_other(KEYS[5], ARGV[7])
if other then
    return other
end

-- First: a Redis whose memory is full refuses this before anything was taken.
redis.call("zadd", KEYS[4], ARGV[2], ARGV[1])
local has_priorities = redis.call("hlen", priorities) > 0
for i = 9, #ARGV do
    if redis.call("srem", held, ARGV[i]) == 1 then
        redis.call("hdel", payloads, ARGV[i])
        if has_priorities then
            redis.call("hdel", priorities, ARGV[i])
        end
    end
end
if has_priorities and redis.call("hlen", payloads) == 0 then
    redis.call("del", priorities) -- what older workers acknowledged, which do not know of it
end

local answer, wanted, beyond, floor = { 0, 0 }, tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local max_suspects, any = tonumber(ARGV[6]), ARGV[8] == "1"
local suspects, dropped, max_window = 0, 0, 1000 -- Lua's stack holds some thousands
local function follows_suspects(mark)
    return suspects > 0 and suspects < max_suspects and string.byte(mark) == ISOLATED
end
local function goes_beyond(mark, priority)
    return beyond > 0 and priority > floor and string.byte(mark) ~= ISOLATED
end
while dropped < 1000 and (wanted > 0 or beyond > 0 or (suspects > 0 and suspects < max_suspects)) do
    local window = math.max(0, wanted) + math.max(0, beyond)
    window = math.min(max_window, window > 0 and window or max_suspects - suspects)
    local ids = redis.call("lrange", list, 0, window - 1)
    local urgencies = priorities_of(priorities, ids)
    local names, costs, are_beyond = {}, {}, {}
    for i = 1, #ids do
        local mark = mark_of(ids[i]) or (any and "")
        if not mark then
            answer[1] = 1
            break
        end
        local cost = 1 + (tonumber(string.sub(mark, 2)) or 0)
        if wanted > 0 or follows_suspects(mark) then
            wanted = wanted - cost
        elseif goes_beyond(mark, urgencies[i]) then
            beyond, are_beyond[i] = beyond - cost, true
        else
            break
        end
        names[i], costs[i] = ids[i], cost
        suspects = suspects + (string.byte(mark) == ISOLATED and 1 or 0)
    end
    if #names == 0 then
        break
    end
    local found, taken = redis.call("hmget", payloads, unpack(names)), {}
    for i = 1, #names do
        if found[i] then
            taken[#taken + 1] = names[i]
            answer[#answer + 1] = names[i]
            answer[#answer + 1] = found[i]
            answer[#answer + 1] = urgencies[i]
        else
            dropped = dropped + 1
            if are_beyond[i] then
                beyond = beyond + costs[i]
            else
                wanted = wanted + costs[i]
            end
            suspects = suspects - (string.byte(names[i], -1) == ISOLATED and 1 or 0)
        end
    end
    if #taken > 0 then
        redis.call("sadd", held, unpack(taken))
    end
    redis.call("ltrim", list, #names, -1) -- last: when a call before it is refused, nothing is lost
    if answer[1] == 1 or #names < #ids or #ids < window then
        break
    end
end
if beyond <= 0 and tonumber(ARGV[4]) > 0 then
    answer[2] = 1
end
return answer
