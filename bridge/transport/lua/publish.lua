-- publish: puts messages on one queue and wakes its consumers. One call, however many messages.
-- A message id that is there already is left alone, so saying a publish twice is harmless.
--
-- KEYS[1]  namespace
-- ARGV     queue name, word for other bridges or nothing, how many messages go before all that wait there,
--          then id, payload, id, payload, …, those first
-- Returns the number of messages that were new.
--
-- namespace:queue          list of ids, RPUSH in (LPUSH for urgent ones), LPOP out
-- namespace:queue.msgs     hash id -> payload, until acknowledged
-- namespace:__wake__       channel, payload = queue name
-- namespace:__freed__      channel, what bridges tell each other

local queue = KEYS[1] .. ":" .. ARGV[1]
local published = 0
local last_urgent = 2 + 2 * tonumber(ARGV[3])
for i = last_urgent, 4, -2 do
    if redis.call("hsetnx", queue .. ".msgs", ARGV[i], ARGV[i + 1]) == 1 then
        redis.call("lpush", queue, ARGV[i])
        published = published + 1
    end
end
for i = last_urgent + 2, #ARGV, 2 do
    if redis.call("hsetnx", queue .. ".msgs", ARGV[i], ARGV[i + 1]) == 1 then
        redis.call("rpush", queue, ARGV[i])
        published = published + 1
    end
end
if published > 0 then
    redis.call("publish", KEYS[1] .. ":__wake__", ARGV[1])
end
if ARGV[2] ~= "" then
    redis.call("publish", KEYS[1] .. ":__freed__", ARGV[2])
end
return published
