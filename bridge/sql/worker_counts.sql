-- worker_counts: live workers, their slots, and the jobs they run.
SELECT count(*) AS workers, coalesce(sum(w.slots), 0) AS slots,
       (SELECT count(*) FROM public.coding_jobs j WHERE j.status = 'processing' AND j.exec IS NOT NULL) AS busy
FROM public.workers w WHERE w.stopped_at IS NULL AND w.lease_expires_at > clock_timestamp()
