-- Notifications of new jobs that a bridge sends for the transactions that insert them: see functions/notifications.sql.
-- Unlogged: writing costs no WAL. A crash of the server empties them, and ends the connections of all who listen.

CREATE UNLOGGED TABLE IF NOT EXISTS public.job_notifications (
    job_id uuid NOT NULL,
    session_id uuid,
    priority integer NOT NULL,
    created_at timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE public.job_notifications IS 'Jobs of which a bridge has yet to notify';

-- One row. Half of its page stays free, because it is updated often and read by each insert.
CREATE UNLOGGED TABLE IF NOT EXISTS public.notification_relay (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    bridge text NOT NULL,
    relays_until timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON COLUMN public.notification_relay.relays_until IS 'Until then that bridge sends what inserts leave in job_notifications';
