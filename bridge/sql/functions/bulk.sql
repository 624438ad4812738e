-- Bulk operations: an operator retries, cancels or replays all jobs that a filter means, however many. The operation is
-- planned first, which counts the jobs; then it is started; then a bridge acts on one batch after another, each in a
-- transaction that also says how far the operation is. So a job is acted on once, whoever is killed meanwhile.
-- Batches go by the ids of the jobs: what is done to a job does not move it within this order.

-- bulk_lock: the key of the lock that who acts on a batch of this operation holds until the commit. Not the lock of its
-- row: a stop must not wait for the batch.
CREATE OR REPLACE FUNCTION public.bulk_lock(p_id bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = ''
AS $$ SELECT hashtextextended('mobvibe.bulk ' || p_id, 0) $$;

-- plan_bulk_operation: notes an operation that an operator may start, and which jobs it means: those that exist now. The
-- conditions are those of is_meant and job_matches, with the least age as `older` instead of `until`. Returns its id.
-- Counting reads all these jobs; without it (p_counts) the number stays unknown. Plans that nobody started are deleted
-- after a day.
CREATE OR REPLACE FUNCTION public.plan_bulk_operation(
    p_action text, p_filter text, p_conditions jsonb, p_by text, p_counts boolean) RETURNS bigint
LANGUAGE plpgsql SET search_path = ''
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    this_moment timestamptz := clock_timestamp();
    newest bigint := coalesce(pg_sequence_last_value('public.coding_jobs_seq'), 0);
    meant jsonb := p_conditions || jsonb_build_object('until', this_moment - (p_conditions ->> 'older')::interval);
    c record;
    found jsonb;
    planned bigint;
BEGIN
    DELETE FROM public.bulk_operations b WHERE b.state = 'planned' AND b.made_at < this_moment - interval '1 day';
    IF p_counts THEN
        SELECT * INTO c FROM jsonb_to_record(meant) AS r (
            statuses text[], until timestamptz, session uuid, queue text, actor text, attempt integer, error text, text text,
            fingerprint text, id uuid[]);
        SELECT coalesce(jsonb_object_agg(n.status, n.jobs), '{}') INTO found
        FROM (SELECT j.status, count(*) AS jobs FROM public.coding_jobs j
              WHERE public.is_meant(j.status, j.seq, j.session_id,
                                      public.changed_at(j.status, j.created_at, j.claimed_at, j.completed_at, j.updated_at),
                                      c.statuses, newest, c.session, c.until)
                AND public.job_matches(j.queue, j.actor, j.retry_count, j.prompt, j.error_message,
                                       c.queue, c.actor, c.attempt, c.error, c.text, c.fingerprint)
                AND (c.id IS NULL OR j.id = ANY (c.id))
              GROUP BY j.status) n;
    END IF;
    INSERT INTO public.bulk_operations (action, filter, conditions, last_seq, counts, made_by)
    VALUES (p_action, p_filter, meant, newest, found, p_by)
    RETURNING id INTO planned;
    RETURN planned;
END $$;

-- start_bulk_operation: lets the bridges act on a planned operation, and notifies them. p_jobs_per_second: NULL is as fast
-- as it goes. Returns its state afterwards: one that has been started before is left alone. NULL: there is no such
-- operation.
CREATE OR REPLACE FUNCTION public.start_bulk_operation(p_id bigint, p_by text, p_reason text, p_jobs_per_second integer)
RETURNS text
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    UPDATE public.bulk_operations b
    SET state = 'running', made_by = p_by, reason = p_reason, jobs_per_second = p_jobs_per_second,
        started_at = clock_timestamp(), next_batch_at = clock_timestamp()
    WHERE b.id = p_id AND b.state = 'planned';
    PERFORM pg_notify('mobvibe_bulk', p_id::text);
    RETURN (SELECT b.state FROM public.bulk_operations b WHERE b.id = p_id);
END $$;

-- stop_bulk_operation: no further batch begins. Returns its state afterwards: 'stopping' while a batch is under way, which
-- then becomes 'stopped'. What was done stays done. NULL: there is no such operation.
CREATE OR REPLACE FUNCTION public.stop_bulk_operation(p_id bigint, p_by text) RETURNS text
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    is_idle boolean := pg_try_advisory_xact_lock(public.bulk_lock(p_id));
BEGIN
    UPDATE public.bulk_operations b
    SET state = CASE WHEN is_idle THEN 'stopped' ELSE 'stopping' END, stopped_by = p_by,
        finished_at = CASE WHEN is_idle THEN clock_timestamp() END
    WHERE b.id = p_id AND b.state IN ('planned', 'running', 'stopping');
    RETURN (SELECT b.state FROM public.bulk_operations b WHERE b.id = p_id);
END $$;

-- act_on_batch: does the action of an operation to these jobs; if the database refuses them together, to each by itself, for
-- two seconds in all. Returns how many it tried, how many of these it changed, and why the first of them was refused. One
-- that has changed meanwhile, or is locked by somebody else, is not changed either.
CREATE OR REPLACE FUNCTION public.act_on_batch(p_operation public.bulk_operations, p_ids uuid[])
RETURNS TABLE (tried integer, acted bigint, refusal text)
LANGUAGE plpgsql SET search_path = ''
    SET lock_timeout = '500ms'
AS $$
#variable_conflict use_column
DECLARE
    most integer := cardinality(p_ids);
    batch uuid[];
    done_by text := p_operation.made_by; reason text := p_operation.reason; bulk bigint := p_operation.id;
    context text;
    until timestamptz;
BEGIN
    tried := 0;
    acted := 0;
    SET CONSTRAINTS ALL IMMEDIATE;  -- one that is checked at the commit would undo the whole batch
    FOR turn IN 0 .. most LOOP  -- all of them, then one by one
        EXIT WHEN most = 0 OR clock_timestamp() > until;
        batch := CASE WHEN turn = 0 THEN p_ids ELSE p_ids[turn:turn] END;
        BEGIN
            acted := acted + CASE p_operation.action
                WHEN 'retry' THEN public.retry_jobs(batch, done_by, reason, bulk)
                WHEN 'cancel' THEN public.cancel_jobs(batch, done_by, reason, bulk)
                WHEN 'replay' THEN public.replay_jobs(batch, NULL, NULL, done_by, reason, NULL, bulk) END;
            tried := CASE WHEN turn = 0 THEN most ELSE turn END;
            EXIT WHEN turn = 0;
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
            IF SQLSTATE <> '55P03' AND NOT public.is_of_a_row(SQLSTATE, context, 'act_on_batch') THEN
                RAISE;
            ELSIF turn = 0 THEN
                until := clock_timestamp() + interval '2 s';
            ELSE
                tried := turn;
                refusal := coalesce(refusal, left(split_part(SQLERRM, E'\n', 1), 300));
            END IF;
        END;
    END LOOP;
    RETURN NEXT;
END $$;

-- run_bulk_batch: acts on the next batch of the operation that has waited longest: looks at up to p_looked_at jobs, and
-- acts on up to p_limit of those that match. Returns one row: the operation, NULL if none is due or others act on those
-- that are; its first refusal, once; and the seconds until a batch is due, NULL if no operation is under way. Indexes:
-- bulk_operations_open, primary key of coding_jobs.
CREATE OR REPLACE FUNCTION public.run_bulk_batch(p_limit integer, p_looked_at integer)
RETURNS TABLE (id bigint, action text, state text, done bigint, skipped bigint, refusal text, wait double precision)
LANGUAGE plpgsql SET search_path = ''
    SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    mine bigint; operation public.bulk_operations; c record;
    looked_at integer; last_looked_at uuid; most integer; ids uuid[];
    tried integer := 0; acted bigint := 0; first_error text;
    is_end boolean; is_done boolean; next_at timestamptz;
BEGIN
    FOR operation IN
        SELECT * FROM public.bulk_operations b
        WHERE b.state IN ('running', 'stopping') AND b.next_batch_at <= clock_timestamp() ORDER BY b.next_batch_at
    LOOP
        IF pg_try_advisory_xact_lock(public.bulk_lock(operation.id)) THEN
            mine := operation.id;
            EXIT;
        END IF;
    END LOOP;
    SELECT * INTO operation FROM public.bulk_operations b WHERE b.id = mine;  -- as the last batch, or a stop, left it
    IF operation.state = 'running' THEN
        SELECT * INTO c FROM jsonb_to_record(operation.conditions) AS r (
            statuses text[], until timestamptz, session uuid, queue text, actor text, attempt integer, error text, text text,
            fingerprint text, id uuid[]);
        most := least(p_limit, operation.jobs_per_second);
        SELECT count(*), (array_agg(w.id ORDER BY w.id DESC))[1] INTO looked_at, last_looked_at
        FROM (SELECT j.id FROM public.coding_jobs j WHERE j.id > operation.last_id AND (c.id IS NULL OR j.id = ANY (c.id)) ORDER BY j.id LIMIT p_looked_at) w;
        ids := ARRAY(SELECT j.id FROM public.coding_jobs j
                     WHERE j.id > operation.last_id AND j.id <= last_looked_at
                       AND public.is_meant(j.status, j.seq, j.session_id,
                                             public.changed_at(j.status, j.created_at, j.claimed_at, j.completed_at, j.updated_at),
                                             c.statuses, operation.last_seq, c.session, c.until)
                       AND public.job_matches(j.queue, j.actor, j.retry_count, j.prompt, j.error_message,
                                              c.queue, c.actor, c.attempt, c.error, c.text, c.fingerprint)
                       AND (c.id IS NULL OR j.id = ANY (c.id))
                     ORDER BY j.id LIMIT most);
        SELECT a.tried, a.acted, a.refusal INTO tried, acted, first_error FROM public.act_on_batch(operation, ids) a;
        is_end := tried = cardinality(ids) AND tried < most;  -- of what was looked at
        is_done := is_end AND looked_at < p_looked_at;
    END IF;
    UPDATE public.bulk_operations b
    SET done = b.done + acted, skipped = b.skipped + tried - acted, first_refusal = coalesce(b.first_refusal, first_error),
        last_id = CASE WHEN is_end THEN coalesce(last_looked_at, b.last_id) ELSE coalesce(ids[tried], b.last_id) END,
        state = CASE WHEN is_done THEN 'done' WHEN b.state = 'stopping' THEN 'stopped' ELSE b.state END,
        finished_at = CASE WHEN is_done OR b.state = 'stopping' THEN clock_timestamp() END,
        next_batch_at = clock_timestamp() + coalesce(tried / operation.jobs_per_second::double precision, 0) * interval '1 s'
    WHERE b.id = mine AND b.state IN ('running', 'stopping')
    RETURNING b.state INTO operation.state;
    SELECT min(b.next_batch_at) INTO next_at FROM public.bulk_operations b WHERE b.state IN ('running', 'stopping');
    RETURN QUERY SELECT mine, operation.action, operation.state, acted, tried - acted,
        CASE WHEN operation.first_refusal IS NULL THEN first_error END,
        extract(epoch FROM next_at - clock_timestamp())::double precision;
END $$;
