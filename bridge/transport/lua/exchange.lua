-- exchange: one worker process and one queue: forgets the messages the worker is done with, then takes new
-- ones. One call for both, however many messages.
--
-- A payload is forgotten only if this worker still held the message: a late word about a message that was
-- given to somebody else changes nothing. A taken id without payload is dropped here and now and takes nobody's
-- place; nothing could ever come of it. Each id comes with its payload, so that an unreadable one can be put aside
-- by its id.
--
-- KEYS[1]  namespace
-- ARGV     queue name, worker id, now in ms, number to take, longest line, id done, id done, …
-- Returns id, payload, id, payload, …
--
-- The number to take is of jobs. A message of several ends in +n, n being the jobs beyond the first; the last
-- one taken may bring more than was asked for. One whose job runs alone ends in !, and those that stand behind it
-- and end so, too, come with it, as many as a line may be long: they are for one process.
--
-- The keys are Dramatiq's own, as its dashboards read them:
-- namespace:queue                    list of waiting ids
-- namespace:queue.msgs               hash id -> payload, until done
-- namespace:__acks__.worker.queue    set of ids taken and not done
-- namespace:__heartbeats__           zset worker id -> last call in ms

local namespace, name, worker = KEYS[1], ARGV[1], ARGV[2]
local queue = namespace .. ":" .. name
local payloads = queue .. ".msgs"
local held = namespace .. ":__acks__." .. worker .. "." .. name

redis.call("zadd", namespace .. ":__heartbeats__", ARGV[3], worker)
for i = 6, #ARGV do
    if redis.call("srem", held, ARGV[i]) == 1 then
        redis.call("hdel", payloads, ARGV[i])
    end
end

local taken, room, longest, dropped, line = {}, tonumber(ARGV[4]), tonumber(ARGV[5]), 0, 0
local function line_goes_on()
    return line > 0 and line < longest and string.sub(redis.call("lindex", queue, 0) or "", -1) == "!"
end
while dropped < 1000 and (room > 0 or line_goes_on()) do
    local id = redis.call("lpop", queue)
    if not id then
        break
    end
    local payload = redis.call("hget", payloads, id)
    if not payload then
        dropped = dropped + 1
    else
        room = room - 1 - (tonumber(string.match(id, "%+(%d+)$")) or 0)
        line = line + (string.sub(id, -1) == "!" and 1 or 0)
        redis.call("sadd", held, id)
        taken[#taken + 1] = id
        taken[#taken + 1] = payload
    end
end
return taken
