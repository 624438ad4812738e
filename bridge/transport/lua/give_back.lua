-- give_back: puts messages back on their queue that a worker took and will not run, because it ends or has died. Only
-- ids in a worker's set are put back, once, and only while they have a payload.
--
-- KEYS     list of waiting ids; hash id -> payload; then sets of ids that a worker took
-- ARGV     ids to put back; none means all of each set

local back = {}
for n = 3, #KEYS do
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
put(KEYS[1], back)
return #back
