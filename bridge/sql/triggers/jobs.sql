-- Triggers of jobs and sessions: they notify, keep `due` true, choose queues, and delete dependent rows.

-- notify_new_job: for a statement that inserted one row the original JSON, for more rows their count. Not a
-- notification per row: each takes a lock at the commit that all notifying transactions share. While a bridge relays
-- (functions/notifications.sql), a single row is left to it. Not more rows: of equal payloads in one transaction
-- Postgres sends one, and the bridge's is that of many.
-- Off for a transaction: SET LOCAL mobvibe.notify = 'off'; for good: ALTER TABLE … DISABLE TRIGGER on_job_created.
-- It runs with the owner's rights: a role that may insert a job need not know of relays.
CREATE OR REPLACE FUNCTION public.notify_new_job() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    jobs bigint;
BEGIN
    IF current_setting('mobvibe.notify', true) = 'off' THEN
        RETURN NULL;
    END IF;
    INSERT INTO public.job_notifications (job_id, session_id, priority, created_at)
    SELECT c.id, c.session_id, c.priority, c.created_at FROM created c
    WHERE (SELECT r.relays_until > clock_timestamp() FROM public.notification_relay r) AND NOT EXISTS (SELECT FROM created OFFSET 1);
    IF FOUND THEN
        RETURN NULL;
    END IF;
    SELECT count(*) INTO jobs FROM created;
    IF jobs = 1 THEN
        PERFORM pg_notify('new_job', public.new_job_payload(c.id, c.session_id, c.priority, c.created_at)) FROM created c;
    ELSIF jobs > 1 THEN
        PERFORM pg_notify('new_job', json_build_object('count', jobs)::text);
    END IF;
    RETURN NULL;
END $$;

-- notify_job_status_change: the same for rows whose status a statement changed. Most statements move all their rows
-- from one status to one other: then no row has to be compared.
CREATE OR REPLACE FUNCTION public.notify_job_status_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = on
AS $$
DECLARE
    jobs bigint;
    is_even boolean;
BEGIN
    SELECT count(*), coalesce(min(o.status) = max(o.status), false) INTO jobs, is_even FROM before_update o;
    IF is_even THEN
        SELECT min(n.status) = max(n.status), CASE WHEN min(n.status) = max(n.status)
                   AND min(n.status) = (SELECT o.status FROM before_update o LIMIT 1) THEN 0 ELSE jobs END
        INTO is_even, jobs FROM after_update n;
    END IF;
    IF NOT is_even THEN
        SELECT count(*) INTO jobs
        FROM before_update o JOIN after_update n ON n.id = o.id WHERE n.status <> o.status;
    END IF;
    IF jobs = 0 OR current_setting('mobvibe.notify', true) = 'off' THEN
        RETURN NULL;
    END IF;
    IF jobs = 1 THEN
        PERFORM pg_notify('job_status_changed', json_build_object('job_id', n.id, 'session_id', n.session_id,
            'old_status', o.status, 'new_status', n.status, 'updated_at', n.updated_at)::text)
        FROM before_update o JOIN after_update n ON n.id = o.id WHERE n.status <> o.status;
    ELSE
        PERFORM pg_notify('job_status_changed', json_build_object('count', jobs)::text);
    END IF;
    RETURN NULL;
END $$;

-- keep_due: a job whose run_at is in the future is not among the ready ones until then.
CREATE OR REPLACE FUNCTION public.keep_due() RETURNS trigger
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    NEW.due := coalesce(NEW.run_at <= clock_timestamp(), true);
    RETURN NEW;
END $$;

-- route_new_job: a job that names no queue goes to its actor's queue, with the actor's attempts if it does not name
-- these either. If no worker has announced the actor yet, route_jobs and the claim do that later (retries_from_actor).
-- A value that was left out cannot be told from one that equals the column's default. enqueue() and .send() know which
-- it is: where 3 attempts are meant, they leave the time of their statement in a setting, so it holds for no other
-- statement, whatever becomes of theirs.
-- It runs with the owner's rights: a role that may insert a job need not read this table. STABLE: all rows of a
-- statement share its snapshot. Rows are read without a lock, so that a worker that registers waits for no insert.
CREATE OR REPLACE FUNCTION public.route_new_job() RETURNS trigger
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    known record;
BEGIN
    SELECT a.queue, a.max_retries INTO known FROM public.actor_queues a WHERE a.actor = NEW.actor;
    NEW.queue := coalesce(known.queue, NEW.queue);
    IF NEW.max_retries = 3 THEN
        IF current_setting('mobvibe.three_attempts', true) = statement_timestamp()::text THEN
            PERFORM set_config('mobvibe.three_attempts', '', true); -- not for what other triggers insert
        ELSE
            NEW.retries_from_actor := known.queue IS NULL;
            NEW.max_retries := coalesce(known.max_retries, NEW.max_retries);
        END IF;
    END IF;
    RETURN NEW;
END $$;

-- begin_manual_attempt: a row that is set to 'processing' without a new fence (by an old client, or in psql) begins a
-- new attempt all the same: the last one is in the ledger, and must never end a second time.
CREATE OR REPLACE FUNCTION public.begin_manual_attempt() RETURNS trigger
LANGUAGE plpgsql SET search_path = ''
AS $$
BEGIN
    NEW.fence := OLD.fence + 1;
    NEW.exec := NULL;
    NEW.worker := NULL;
    NEW.claimed_by := NULL;
    NEW.claimed_at := clock_timestamp();
    NEW.lease_expires_at := NEW.claimed_at + public.unwatched_lease();
    IF NEW.started_at IS NOT DISTINCT FROM OLD.started_at THEN
        NEW.started_at := NEW.claimed_at; -- it is the start of an earlier attempt
    END IF;
    RETURN NEW;
END $$;

-- The next two run with the owner's rights: a role that may delete a job or a session needs no rights on the rows
-- that depend on it.
-- delete_attempts_of_jobs: the ledger and the words of the deleted jobs. Indexes: primary keys.
CREATE OR REPLACE FUNCTION public.delete_attempts_of_jobs() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    DELETE FROM public.job_attempts a USING deleted d WHERE a.job_id = d.id;
    DELETE FROM public.job_search s USING deleted d WHERE s.job_id = d.id;
    RETURN NULL;
END $$;

-- delete_jobs_of_sessions: the jobs, turns, events and snapshots of the deleted sessions, and their numbering.
CREATE OR REPLACE FUNCTION public.delete_jobs_of_sessions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    DELETE FROM public.coding_jobs j USING deleted d WHERE j.session_id = d.id;
    DELETE FROM public.session_events e USING deleted d WHERE e.session_id = d.id;
    DELETE FROM public.session_streams s USING deleted d WHERE s.session_id = d.id;
    DELETE FROM public.session_turns t USING deleted d WHERE t.session_id = d.id;
    DELETE FROM public.session_messages m USING deleted d WHERE m.session_id = d.id;
    DELETE FROM public.session_calls c USING deleted d WHERE c.session_id = d.id;
    DELETE FROM public.session_inbox i USING deleted d WHERE i.session_id = d.id;
    DELETE FROM public.session_bundles b USING deleted d WHERE b.session_id = d.id;
    RETURN NULL;
END $$;

-- Each is dropped first: an old database has row triggers with two of these names.
DROP TRIGGER IF EXISTS on_job_created ON public.coding_jobs;
CREATE TRIGGER on_job_created AFTER INSERT ON public.coding_jobs
    REFERENCING NEW TABLE AS created
    FOR EACH STATEMENT EXECUTE FUNCTION public.notify_new_job();

DROP TRIGGER IF EXISTS on_job_status_changed ON public.coding_jobs;
CREATE TRIGGER on_job_status_changed AFTER UPDATE ON public.coding_jobs
    REFERENCING OLD TABLE AS before_update NEW TABLE AS after_update
    FOR EACH STATEMENT EXECUTE FUNCTION public.notify_job_status_change();

-- What workers announced before this table was there: the trigger below reads it.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM public.actor_queues) THEN
        PERFORM public.keep_actor_queues(true);
    END IF;
END $$;

-- By its name it fires after a_guard_job: it may set what a user may not.
DROP TRIGGER IF EXISTS on_job_without_queue ON public.coding_jobs;
CREATE TRIGGER on_job_without_queue BEFORE INSERT ON public.coding_jobs
    FOR EACH ROW WHEN (NEW.queue = 'coding' AND NEW.status = 'pending') EXECUTE FUNCTION public.route_new_job();

DROP TRIGGER IF EXISTS on_job_run_at ON public.coding_jobs;
CREATE TRIGGER on_job_run_at BEFORE INSERT OR UPDATE OF run_at ON public.coding_jobs
    FOR EACH ROW WHEN (NEW.run_at IS NOT NULL OR NOT NEW.due) EXECUTE FUNCTION public.keep_due();

DROP TRIGGER IF EXISTS on_job_taken_by_hand ON public.coding_jobs;
CREATE TRIGGER on_job_taken_by_hand BEFORE UPDATE OF status ON public.coding_jobs
    FOR EACH ROW WHEN (NEW.status = 'processing' AND OLD.status <> 'processing' AND NEW.fence = OLD.fence)
    EXECUTE FUNCTION public.begin_manual_attempt();
DROP FUNCTION IF EXISTS public.take_by_hand(); -- its name in the version before

DROP TRIGGER IF EXISTS on_job_deleted ON public.coding_jobs;
CREATE TRIGGER on_job_deleted AFTER DELETE ON public.coding_jobs
    REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION public.delete_attempts_of_jobs();

DROP TRIGGER IF EXISTS on_session_deleted ON public.coding_sessions;
CREATE TRIGGER on_session_deleted AFTER DELETE ON public.coding_sessions
    REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION public.delete_jobs_of_sessions();

-- Only the old claim read it, and each change of a status had to write it.
DO $$ BEGIN
    IF to_regclass('public.coding_jobs_status_priority_idx') IS NOT NULL THEN
        DROP INDEX public.coding_jobs_status_priority_idx;
    END IF;
END $$;
