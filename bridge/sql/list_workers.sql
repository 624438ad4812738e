-- list_workers: worker processes, live ones first.
SELECT id, name, slots, queues, actors, version, started_at, heartbeat_at, draining, stopped_at, stop_reason,
       stopped_at IS NULL AND lease_expires_at > clock_timestamp() AS live
FROM public.workers ORDER BY live DESC, started_at DESC LIMIT 1000
