-- Snapshots of workspaces, written by the attempt that runs the session's job.

-- put_session_bundle: stores a bundle of the job's session. One without a base replaces all others; another must follow
-- the last one. One whose commit is the last already changes nothing, so that the call may be repeated. Returns whether
-- the attempt is the job's current one: if not, nothing is stored. Index: primary keys.
CREATE OR REPLACE FUNCTION public.put_session_bundle(p_job uuid, p_fence bigint, p_base text, p_commit text, p_data bytea)
RETURNS boolean
LANGUAGE plpgsql SET search_path = ''
AS $$
DECLARE
    session uuid;
    last public.session_bundles;
BEGIN
    SELECT j.session_id INTO session FROM public.coding_jobs j
    WHERE j.id = p_job AND j.status || '' = 'processing' AND j.fence = p_fence FOR NO KEY UPDATE;
    IF session IS NULL THEN
        RETURN false;
    END IF;
    SELECT b.session_id, b.number, b.base, b.commit INTO last.session_id, last.number, last.base, last.commit
    FROM public.session_bundles b WHERE b.session_id = session ORDER BY b.number DESC LIMIT 1;
    IF last.commit = p_commit THEN
        RETURN true;
    ELSIF p_base IS NULL THEN
        DELETE FROM public.session_bundles b WHERE b.session_id = session;
    ELSIF last.commit IS DISTINCT FROM p_base THEN
        RAISE 'the last bundle of session % leads to %, not to %', session, last.commit, p_base;
    END IF;
    INSERT INTO public.session_bundles (session_id, number, base, commit, data, job_id, fence)
    VALUES (session, coalesce(last.number, 0) + 1, p_base, p_commit, p_data, p_job, p_fence);
    RETURN true;
END $$;
