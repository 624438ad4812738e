-- Worker processes.

-- name: list_workers
-- Worker processes, live ones first, with the number of jobs that each runs. The version before has no
-- drain_requested_at. Index: jobs_processing.
SELECT w.id, w.name, w.slots, coalesce(b.busy, 0) AS busy, w.queues, w.actors, w.version, w.started_at, w.heartbeat_at,
       w.draining, (to_jsonb(w) ->> 'drain_requested_at')::timestamptz AS drain_requested_at, w.stopped_at, w.stop_reason,
       w.stopped_at IS NULL AND w.lease_expires_at > clock_timestamp() AS live
FROM public.workers w
LEFT JOIN (SELECT j.worker, count(*) AS busy FROM public.coding_jobs j
           WHERE j.status = 'processing' AND j.exec IS NOT NULL GROUP BY j.worker) b ON b.worker = w.id
ORDER BY live DESC, w.started_at DESC LIMIT 1000

-- name: is_told_to_drain
-- Whether an operator has drained this worker. The version before has no such column.
SELECT (to_jsonb(w) ->> 'drain_requested_at') IS NOT NULL AS told FROM public.workers w WHERE w.id = %(worker)s

-- name: stay_drained
-- For a worker that was drained, was declared lost, and has registered with a new id.
UPDATE public.workers SET drain_requested_at = clock_timestamp() WHERE id = %(worker)s

-- name: drain_worker
SELECT public.drain_worker(%(worker)s, coalesce(%(by)s, current_user), %(reason)s) AS draining

-- name: resume_worker
SELECT public.resume_worker(%(worker)s, coalesce(%(by)s, current_user), %(reason)s) AS draining

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
