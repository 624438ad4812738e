-- get_queue_stats: see migrations/0010_statistics.sql
SELECT pending_count, processing_count, completed_count, failed_count, oldest_pending_age FROM public.get_queue_stats()
