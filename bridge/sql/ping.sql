-- ping: whether Postgres answers at all.
SELECT 1 AS pong
