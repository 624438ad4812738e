-- keep_claims: see migrations/0004_failures.sql
SELECT id FROM public.keep_claims(%(ids)s::uuid[], %(fences)s::bigint[], %(lease)s) AS kept (id)
