-- stop_all_workers: for a store that was down with everything that used it: nobody in the table is alive.
UPDATE public.workers SET stopped_at = clock_timestamp(), stop_reason = 'lost' WHERE stopped_at IS NULL
