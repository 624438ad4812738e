-- Worker processes.

-- name: list_workers
-- Worker processes, live ones first.
SELECT id, name, slots, queues, actors, version, started_at, heartbeat_at, draining, stopped_at, stop_reason,
       stopped_at IS NULL AND lease_expires_at > clock_timestamp() AS live
FROM public.workers ORDER BY live DESC, started_at DESC LIMIT 1000

-- name: worker_counts
-- Live workers, their slots, and the jobs they run.
SELECT count(*) AS workers, coalesce(sum(w.slots), 0) AS slots,
       (SELECT count(*) FROM public.coding_jobs j WHERE j.status = 'processing' AND j.exec IS NOT NULL) AS busy
FROM public.workers w WHERE w.stopped_at IS NULL AND w.lease_expires_at > clock_timestamp()

-- name: watch_workers
-- How many live workers are without the lock of their link, see watch_links; and how many there were before that.
SELECT public.watch_links(%(confirm)s) AS without,
       (SELECT count(*) FROM public.workers w WHERE w.stopped_at IS NULL) AS live

-- name: stop_all_workers
-- For a Postgres that was stopped together with everything that used it: no worker in the table is alive.
UPDATE public.workers SET stopped_at = clock_timestamp(), stop_reason = 'lost' WHERE stopped_at IS NULL
