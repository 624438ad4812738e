-- The role that the processes of the bridge log in as: what their statements use, and no more.
-- Run it after `mobvibe migrate up`, as the role that owns the tables (in Supabase: postgres):
--   psql "$OWNERS_DATABASE_URL" -v ON_ERROR_STOP=1 -f deploy/mobvibe_bridge.sql
-- For an upgrade: mobvibe migrate up --grant-to mobvibe_bridge
-- It sets no password. Give it one that is in no history of a shell: \password mobvibe_bridge
-- The migration itself stays with the owner. How, and why so: docs/how-to/role.md

-- It owns nothing, belongs to no other role, and may make no objects. NOINHERIT: if it is ever made a member of another
-- role, it gets nothing from that by itself.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'mobvibe_bridge') THEN
        CREATE ROLE mobvibe_bridge LOGIN NOINHERIT;
    END IF;
END $$;

GRANT USAGE ON SCHEMA public TO "mobvibe_bridge";
GRANT SELECT, INSERT ON job_attempts, job_audit, operator_audit, session_events, session_messages TO "mobvibe_bridge";
GRANT SELECT, INSERT, UPDATE ON actor_queues, coding_sessions, job_search_progress, notification_relay, session_calls, session_streams, session_turns TO "mobvibe_bridge";
GRANT SELECT, INSERT, DELETE ON session_bundles TO "mobvibe_bridge";
GRANT SELECT, UPDATE, DELETE ON job_notifications TO "mobvibe_bridge";
GRANT SELECT, INSERT, UPDATE, DELETE ON bulk_operations, coding_jobs, idempotency_keys, job_counts, job_search, latency_history, queue_history, queue_pauses, session_inbox, session_requests, workers TO "mobvibe_bridge";
GRANT USAGE, SELECT ON SEQUENCE coding_jobs_seq TO "mobvibe_bridge";
GRANT USAGE ON SEQUENCE session_events_seq TO "mobvibe_bridge";
GRANT EXECUTE ON FUNCTION act_on_batch, add_messages, add_session_events, add_turn_events, add_up_hours, answer_open_question, answer_question, available_at, begin_turn, bulk_lock, cancel_attempts, cancel_job, cancel_jobs, cancel_session, change_each, changed_at, check_at_once, check_changed, claim_jobs, claim_jobs_apart, claim_next_job, claim_suspects, clean_error, complete_job, complete_jobs, completed_status, continue_session, dead_letters, declare_lost, drain_worker, end_failed_attempts, end_turn, enqueue_sent_prompt, enqueue_turn, error_fingerprint, fail_claims, fail_job, fail_jobs, finish_call, fold_job_counts, follow_sessions, get_queue_stats, get_session_events, happened_since, heartbeat_worker, hold_turn, hold_worker_link, index_jobs, is_bridge, is_meant, is_of_a_row, isolated_until, job_labels, job_matches, job_words, keep_actor_queues, keep_claims, latency_bucket, may_choose_actor, mobvibe_schema_version, new_job_payload, note_refused_session, open_session, pause_queue, plan_bulk_operation, prolong_session, promise_relay, promote_due_jobs, promote_jobs, prune_finished_jobs, prune_history, prune_jobs, prune_workers, put_session_bundle, queue_counts, queue_room, reclaim_jobs, record_history, register_worker, relay_notifications, relay_state, release_delay, release_jobs, replay_job, replay_jobs, reserve_usage, resume_queue, resume_worker, retry_delay, retry_job, retry_jobs, route_each, route_jobs, run_bulk_batch, search_jobs, searched_text, send_prompt, set_turn_progress, settle_sessions, spend_usage, start_bulk_operation, start_call, start_jobs, stop_bulk_operation, stop_worker, suspicion, take_back, take_event_numbers, unwatched_lease, update_sessions, waiting_claims, watch_links, words_query, worker_key TO "mobvibe_bridge";
-- The sessions API asks whose a project is, where there are any.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_attribute
               WHERE attrelid = to_regclass('public.projects') AND attname = 'user_id') THEN
        GRANT SELECT (id, user_id) ON public.projects TO "mobvibe_bridge";
    END IF;
END $$;
-- Where row level security is on: hidden rows are no empty queue.
ALTER ROLE "mobvibe_bridge" BYPASSRLS;
