-- trim: deletes old dead letters of ours. One whose id only looks like ours has another id inside, and stays, as do all
-- of other applications.
--
-- KEYS     zset id -> when it was put aside, in ms; hash id -> payload
-- ARGV     how old in ms, how many to pass over, how many to read
-- Returns how many were read, and how many deleted

local ids = redis.call("zrangebyscore", KEYS[1], "-inf", ARGV[1], "limit", ARGV[2], ARGV[3])
local deleted = 0
for i = 1, #ids do
    if mark_of(ids[i]) then
        local payload = redis.call("hget", KEYS[2], ids[i])
        if not payload or string.find(payload, '"message_id":"' .. ids[i] .. '"', 1, true) then
            redis.call("zrem", KEYS[1], ids[i])
            redis.call("hdel", KEYS[2], ids[i])
            deleted = deleted + 1
        end
    end
end
return { #ids, deleted }
