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

-- Puts ids at the end of a list; at its front if the last id there is not ours: behind a hundred thousand of another
-- application's, ours would never be found.
local function put(list, ids)
    local last = redis.call("lindex", list, -1)
    if last and not mark_of(last) then
        for i = #ids, 1, -1 do
            redis.call("lpush", list, ids[i])
        end
        return
    end
    for i = 1, #ids, 1000 do -- Lua's stack holds some thousands
        redis.call("rpush", list, unpack(ids, i, math.min(i + 999, #ids)))
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
