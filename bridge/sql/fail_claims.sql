-- fail_claims: see migrations/0004_failures.sql
SELECT job_id, status FROM public.fail_claims(%(ids)s::uuid[], %(fences)s::bigint[], %(errors)s::text[])
