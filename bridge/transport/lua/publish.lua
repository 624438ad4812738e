-- publish: puts messages on one queue and wakes its consumers. One call, however many messages.
-- A message whose id is there already is left as it is, so publishing twice is harmless.
--
-- KEYS     list of ids, most urgent first, LPOP out; hash id -> payload, until acknowledged; hash id -> priority of those
--          other than 0, as long; the database's mark
-- ARGV     queue name, message for other bridges or nothing, our database's mark or nothing, channel of wake-ups,
--          channel of freed slots, what else to tell consumers or nothing, then id, payload, priority, id, payload, priority, …, most urgent first
-- Returns the number of messages that were new.

local list, payloads, priorities = KEYS[1], KEYS[2], KEYS[3]
local other = owner_if_other(KEYS[4], ARGV[3])
if other then
    return other
end
redis.call("llen", list) -- a key of another type is refused before anything was put
redis.call("hlen", priorities)
local new = {}
for i = 7, #ARGV, 3 do
    if redis.call("hsetnx", payloads, ARGV[i], ARGV[i + 1]) == 1 then
        new[#new + 1] = ARGV[i]
        if ARGV[i + 2] ~= "0" then
            redis.call("hset", priorities, ARGV[i], ARGV[i + 2])
        end
    end
end
put(list, priorities, new)
if #new > 0 then
    redis.call("publish", ARGV[4], ARGV[1])
    if ARGV[6] ~= "" then
        redis.call("publish", ARGV[4], ARGV[6])
    end
end
if ARGV[2] ~= "" then
    redis.call("publish", ARGV[5], ARGV[2])
end
return #new
