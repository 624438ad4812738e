-- push_again: puts messages on one queue although Redis may have them already, and wakes its consumers.
-- A payload that is there stays as it is; its id goes on the list once more.
--
-- KEYS[1]  namespace
-- ARGV     queue name, then id, payload, id, payload, …
--
-- namespace:queue          list of ids, RPUSH in, LPOP out
-- namespace:queue.msgs     hash id -> payload, until acknowledged
-- namespace:__wake__       channel, payload = queue name

local queue = KEYS[1] .. ":" .. ARGV[1]
for i = 2, #ARGV, 2 do
    redis.call("hsetnx", queue .. ".msgs", ARGV[i], ARGV[i + 1])
    redis.call("rpush", queue, ARGV[i])
end
redis.call("publish", KEYS[1] .. ":__wake__", ARGV[1])
