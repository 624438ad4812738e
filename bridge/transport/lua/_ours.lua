-- Is put before every script in this folder.
--
-- The form of an id of ours, as bridge/transport/messages.py makes it: "<job>:<fence>" of the first job in the message,
-- and then a mark:
--     nothing   one job
--     +n        n more jobs than the first
--     !  or !!  one job that runs isolated; !! to its end
-- Any other id belongs to another application, a plain Dramatiq app that shares the namespace: its message is neither
-- taken nor moved.
local ISOLATED = string.byte("!")
local X4 = "%x%x%x%x"
local OURS = "^" .. X4 .. X4 .. "%-" .. X4 .. "%-" .. X4 .. "%-" .. X4 .. "%-" .. X4 .. X4 .. X4 .. ":%d+([+!]?[%d!]*)$"

-- The mark of an id of ours, often empty; nil for any other id.
local function mark_of(id)
    return string.match(id, OURS)
end

-- The priorities of ids, from the hash that holds those other than 0. One of an older bridge has none there.
local function priorities_of(key, ids)
    local found, priorities = {}, {}
    if #ids > 0 and redis.call("hlen", key) > 0 then
        found = redis.call("hmget", key, unpack(ids))
    end
    for i = 1, #ids do
        priorities[i] = tonumber(found[i] or 0) or 0
    end
    return priorities
end

local STRETCH, STRETCHES_MOST = 200, 50 -- ids read at a time to find a place, and how often: far more than wait

-- Puts ids, most urgent first, on a list that has the most urgent first: each behind those of its own priority and before
-- the first one of a lower priority. What is not ours stays behind all of ours: behind a hundred thousand of another
-- application's, ours would never be found.
local function put(list, key, ids)
    if #ids == 0 then
        return
    end
    local last, priorities = redis.call("lindex", list, -1), priorities_of(key, ids)
    if not last or (mark_of(last) and priorities_of(key, { last })[1] >= priorities[1]) then
        for i = 1, #ids, 1000 do -- Lua's stack holds some thousands
            redis.call("rpush", list, unpack(ids, i, math.min(i + 999, #ids)))
        end
        return
    end
    local front, read, next, stretches = {}, 0, 1, 0
    repeat
        local waiting = redis.call("lrange", list, read, read + STRETCH - 1)
        local others = priorities_of(key, waiting)
        for i = 1, #waiting do
            local is_passed = not mark_of(waiting[i])
            while next <= #ids and (is_passed or others[i] < priorities[next]) do
                front[#front + 1], next = ids[next], next + 1
            end
            if next > #ids then
                break
            end
            front[#front + 1], read = waiting[i], read + 1
        end
        stretches = stretches + 1
    until next > #ids or #waiting < STRETCH or stretches == STRETCHES_MOST
    for i = next, #ids do
        front[#front + 1] = ids[i]
    end
    redis.call("ltrim", list, read, -1)
    for i = #front, 1, -1 do
        redis.call("lpush", list, front[i])
    end
end

-- An error when the namespace belongs to another database, else nil. A namespace without a mark becomes ours. With an
-- empty mark nothing is checked.
local function owner_if_other(key, mark)
    if mark == "" then
        return nil
    end
    local owner = redis.call("get", key)
    if owner == mark then
        return nil
    end
    if not owner then
        redis.call("set", key, mark)
        return nil
    end
    return redis.error_reply("OTHERDB " .. owner)
end
