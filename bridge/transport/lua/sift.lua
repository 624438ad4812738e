-- sift: reads one stretch of a queue whose first messages are not ours, and moves ours among them to the front,
-- in their order. The others stay, in theirs.
--
-- KEYS     list of waiting ids
-- ARGV     where the stretch begins, how long it is
-- Returns how many ids wait, how many were read, how many were moved, and an id that is not ours or nothing

local list, start = KEYS[1], tonumber(ARGV[1])
local ids = redis.call("lrange", list, start, start + tonumber(ARGV[2]) - 1)
local found, other = {}, ""
for i = 1, #ids do
    if mark_of(ids[i]) then
        found[#found + 1] = i
    elseif other == "" then
        other = ids[i]
    end
end
if #found > 0 then
    for n = #found, 1, -1 do
        redis.call("lpush", list, ids[found[n]])
    end
    -- Removed by position: a removal by value reads the whole list, so it is done once for all of them.
    local moved = KEYS[1] .. ":moved"
    for n = 1, #found do
        redis.call("lset", list, #found + start + found[n] - 1, moved)
    end
    redis.call("lrem", list, 0, moved)
end
return { redis.call("llen", list), #ids, #found, other }
