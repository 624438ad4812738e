-- push_again: puts messages on one queue even if Redis has them already, and wakes its consumers.
-- A payload that is there stays as it is; its id is put on the list once more.
--
-- KEYS     list of ids, most urgent first, LPOP out; hash id -> payload, until acknowledged; hash id -> priority of those
--          other than 0, as long; the database's mark
-- ARGV     queue name, our database's mark or nothing, channel of wake-ups,
--          then id, payload, priority, id, payload, priority, …, most urgent first

local other = owner_if_other(KEYS[4], ARGV[2])
if other then
    return other
end
redis.call("llen", KEYS[1]) -- a key of another type is refused before anything was put
redis.call("hlen", KEYS[3])
local ids = {}
for i = 4, #ARGV, 3 do
    redis.call("hsetnx", KEYS[2], ARGV[i], ARGV[i + 1])
    if ARGV[i + 2] ~= "0" then
        redis.call("hset", KEYS[3], ARGV[i], ARGV[i + 2])
    end
    ids[#ids + 1] = ARGV[i]
end
put(KEYS[1], KEYS[3], ids)
redis.call("publish", ARGV[3], ARGV[1])
