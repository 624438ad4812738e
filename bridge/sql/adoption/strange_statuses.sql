-- strange_statuses: values that no job can have, quoted for SQL.
SELECT quote_literal(left(j.status, 40)) AS status, count(*) AS jobs FROM public.coding_jobs j
WHERE j.status NOT IN ('pending', 'processing', 'completed', 'failed', 'cancelled') GROUP BY 1 ORDER BY 2 DESC LIMIT 10
