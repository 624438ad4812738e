-- publish: puts messages on one queue and wakes its consumers. One call, however many messages.
-- A message whose id is there already is left as it is, so publishing twice is harmless.
--
-- KEYS     list of ids, RPUSH in (LPUSH for urgent ones), LPOP out; hash id -> payload, until acknowledged;
--          the database's mark
-- ARGV     queue name, message for other bridges or nothing, how many messages go before all that wait there,
--          our database's mark or nothing, channel of wake-ups, channel of freed slots,
--          then id, payload, id, payload, …, the former first
-- Returns the number of messages that were new.

local list, payloads = KEYS[1], KEYS[2]
local other = owner_if_other(KEYS[3], ARGV[4])
if other then
    return other
end
redis.call("llen", list) -- a key of another type is refused before anything was put
local first = 7
local last_urgent = first - 2 + 2 * tonumber(ARGV[3])
local published, new = 0, {}
for i = last_urgent + 2, #ARGV, 2 do
    if redis.call("hsetnx", payloads, ARGV[i], ARGV[i + 1]) == 1 then
        published = published + 1
        new[published] = ARGV[i]
    end
end
put(list, new)
for i = last_urgent, first, -2 do
    if redis.call("hsetnx", payloads, ARGV[i], ARGV[i + 1]) == 1 then
        redis.call("lpush", list, ARGV[i])
        published = published + 1
    end
end
if published > 0 then
    redis.call("publish", ARGV[5], ARGV[1])
end
if ARGV[2] ~= "" then
    redis.call("publish", ARGV[6], ARGV[2])
end
return published
