-- give_back: puts messages back on their queue that a worker took and will not run, because it ends or has died. Only
-- ids in a worker's set are put back, once, and only while they have a payload.
--
-- KEYS     list of waiting ids; hash id -> payload; hash id -> priority of those other than 0; then sets of ids that a
--          worker took
-- ARGV     ids to put back; none means all of each set

local back = {}
for n = 4, #KEYS do
    local ids = ARGV
    if #ARGV == 0 then
        ids = redis.call("smembers", KEYS[n])
    end
    for i = 1, #ids do
        if redis.call("srem", KEYS[n], ids[i]) == 1 and redis.call("hexists", KEYS[2], ids[i]) == 1 then
            back[#back + 1] = ids[i]
        end
    end
end
for i = 1, #back, 1000 do -- Lua's stack holds some thousands
    local some, order = { unpack(back, i, math.min(i + 999, #back)) }, {}
    local priorities = priorities_of(KEYS[3], some)
    for n = 1, #some do
        order[n] = n
    end
    table.sort(order, function(a, b)
        if priorities[a] ~= priorities[b] then
            return priorities[a] > priorities[b]
        end
        return a < b
    end)
    local sorted = {}
    for n = 1, #some do
        sorted[n] = some[order[n]]
    end
    put(KEYS[1], KEYS[3], sorted)
end
return #back
