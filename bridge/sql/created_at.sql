-- created_at: since when a job is there, for whoever must not run an old one
SELECT created_at FROM public.coding_jobs WHERE id = %(id)s
