-- latest_seq: the newest place given out in the order of age, committed or not.
SELECT last_value AS seq FROM public.coding_jobs_seq
