-- Jobs that ran when their worker was lost.

-- claim_suspects: takes jobs of one queue whose worker was lost while it ran them, to be run alone, p_limit at the most,
-- most urgent first. What was claimed together is a line: one process runs it, one job after the other. One line for
-- two worker processes, counting those in somebody's hands: whatever kills workers must leave some. What is acquitted
-- (bridge/worker/quarantine.py says when) is in no line any more; `throughout` says of which that is never so. One caller
-- at a time, or two would both find room for one line; the second one finds nothing to do. Rows that cannot be changed
-- are passed over (refusals.sql), and so are those that the caller's setting mobvibe.skip names. Index: jobs_suspect.
DROP FUNCTION IF EXISTS public.claim_suspects(text, interval);
DROP FUNCTION IF EXISTS public.claim_suspects(text, interval, integer);
CREATE OR REPLACE FUNCTION public.claim_suspects(p_bridge text, p_lease interval, p_limit integer)
RETURNS TABLE (job_id uuid, fence bigint, queue text, actor text, alone boolean, throughout boolean)
LANGUAGE plpgsql SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    this_moment timestamptz := clock_timestamp();
    batches integer;
    max_batches integer;
    ids uuid[];
    one record;
    claimed uuid[] := '{}';
    refused uuid[] := nullif(current_setting('mobvibe.skip', true), '')::uuid[];
BEGIN
    IF NOT EXISTS (SELECT FROM public.coding_jobs j WHERE j.status = 'pending' AND j.crashes > 0) THEN
        RETURN;
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtext('mobvibe.suspects')) THEN
        RETURN;
    END IF;
    SELECT count(DISTINCT (j.claimed_by, j.claimed_at)) INTO batches FROM public.coding_jobs j
    WHERE j.status = 'processing' AND j.crashes > 0 AND j.claimed_by <> 'claim_next_job'
      AND (j.started_at < this_moment - interval '30 s' AND j.crashes = 1 AND j.retry_count + 1 < j.max_retries) IS NOT TRUE;
    -- One that runs a line takes nothing else, and says that it drains: it counts all the same.
    SELECT greatest(1, count(*) / 2) INTO max_batches FROM public.workers w
    WHERE w.stopped_at IS NULL AND w.lease_expires_at > this_moment
      AND (NOT w.draining OR w.id IN (SELECT j.worker FROM public.coding_jobs j
                                      WHERE j.status = 'processing' AND j.crashes > 0
                                        AND (j.started_at < this_moment - interval '30 s' AND j.crashes = 1
                                             AND j.retry_count + 1 < j.max_retries) IS NOT TRUE));
    IF batches >= max_batches THEN
        RETURN;
    END IF;
    SET CONSTRAINTS ALL IMMEDIATE;
    LOOP
        WITH found AS MATERIALIZED (
            SELECT s.id, s.queue, s.priority, s.seq FROM public.coding_jobs s
            WHERE s.status = 'pending' AND s.crashes > 0 AND (s.run_at IS NULL OR s.run_at <= this_moment)
              AND EXISTS (SELECT FROM public.workers w
                          WHERE w.stopped_at IS NULL AND w.lease_expires_at > this_moment AND NOT w.draining
                            AND s.queue = ANY (w.queues) AND s.actor = ANY (w.actors))
              AND s.id NOT IN (SELECT unnest(refused))
            ORDER BY s.priority DESC, s.seq LIMIT p_limit
            FOR UPDATE SKIP LOCKED
        )
        SELECT array_agg(f.id) INTO ids FROM found f
        WHERE f.queue = (SELECT o.queue FROM found o ORDER BY o.priority DESC, o.seq LIMIT 1);
        EXIT WHEN ids IS NULL OR clock_timestamp() - this_moment > interval '2 s';
        FOR one IN SELECT e.job_id AS id, e.refusal FROM public.change_each('claim', ids, p_bridge, p_lease) e LOOP
            IF one.refusal IS NULL THEN
                claimed := claimed || one.id;
            ELSE
                refused := refused || one.id;
                RAISE WARNING 'mobvibe: job % cannot be handed over now: %', one.id, one.refusal;
            END IF;
        END LOOP;
        EXIT WHEN claimed <> '{}';
    END LOOP;
    RETURN QUERY
    SELECT c.id, c.fence, c.queue, c.actor, true, c.crashes > 1 OR c.retry_count + 1 >= c.max_retries
    FROM unnest(claimed) AS r (id) JOIN public.coding_jobs c ON c.id = r.id ORDER BY c.priority DESC, c.seq;
END $$;
