-- put_aside: moves a message that this worker took to the dead letters, unchanged. Dramatiq calls this nack.
--
-- KEYS     set of ids this worker took; hash id -> payload; zset id -> when it was put aside, in ms; hash of those;
--          hash id -> priority
-- ARGV     now in ms, id

if redis.call("srem", KEYS[1], ARGV[2]) == 1 then
    local payload = redis.call("hget", KEYS[2], ARGV[2])
    if payload then
        redis.call("zadd", KEYS[3], ARGV[1], ARGV[2])
        redis.call("hset", KEYS[4], ARGV[2], payload)
        redis.call("hdel", KEYS[2], ARGV[2])
        redis.call("hdel", KEYS[5], ARGV[2])
    end
end
