-- projects_table: whether this database keeps projects with owners, as a MobVibe database does.
SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute a
               WHERE a.attrelid = to_regclass('public.projects') AND a.attname = 'user_id') AS present
