"""What the catalogs say about the objects of schema public: one entry for each, so that two can be compared."""

import re

from tests.support.rows import Rows

HOST_TABLES = ("coding_jobs", "coding_sessions", "session_events")

_ENTRIES = """
    SELECT 'function ' || p.oid::regprocedure AS name, pg_get_functiondef(p.oid) || pg_get_userbyid(p.proowner) AS is
    FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'comment on function ' || p.oid::regprocedure, obj_description(p.oid, 'pg_proc')
    FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
          AND obj_description(p.oid, 'pg_proc') IS NOT NULL
    UNION ALL
    SELECT format('right of %s to execute %s', coalesce(r.rolname, 'PUBLIC'), p.oid::regprocedure),
           a.is_grantable::text
    FROM pg_proc p CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
    LEFT JOIN pg_roles r ON r.oid = a.grantee WHERE p.pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('right of %s to %s %s', coalesce(r.rolname, 'PUBLIC'), a.privilege_type, c.relname),
           a.is_grantable::text
    FROM pg_class c CROSS JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
    LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'S')
    UNION ALL
    SELECT format('table %s', c.relname),
           format('%s %s %s %s', pg_get_userbyid(c.relowner), c.relrowsecurity, c.relforcerowsecurity, c.relreplident)
    FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v')
    UNION ALL
    SELECT format('options of table %s', c.relname), c.reloptions::text
    FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.reloptions IS NOT NULL
    UNION ALL
    SELECT format('column %s.%s', c.relname, a.attname),
           format('%s %s %s', format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                  pg_get_expr(d.adbin, d.adrelid))
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
    UNION ALL
    SELECT format('rule %s on %s', c.conname, c.conrelid::regclass), pg_get_constraintdef(c.oid)
    FROM pg_constraint c WHERE c.connamespace = 'public'::regnamespace AND c.contype <> 'n'
    UNION ALL
    SELECT format('trigger %s on %s', t.tgname, t.tgrelid::regclass), pg_get_triggerdef(t.oid) || t.tgenabled::text
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND c.relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('index %s on %s', c.relname, i.indrelid::regclass),
           format('%s %s', pg_get_indexdef(c.oid), i.indisvalid)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('policy %s on %s', p.policyname, p.tablename),
           format('%s %s %s %s %s', p.permissive, p.roles, p.cmd, p.qual, p.with_check)
    FROM pg_policies p WHERE p.schemaname = 'public'
    UNION ALL
    SELECT format('publication %s of %s', p.pubname, r.prrelid::regclass),
           format('%s %s', r.prattrs, pg_get_expr(r.prqual, r.prrelid))
    FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
"""

# Words of the catalog's entries that say what kind of thing it is.
_KINDS = {"function", "comment", "on", "right", "of", "to", "execute", "table", "options", "column", "rule", "trigger"}
_KINDS |= {"index", "policy", "publication"}


def catalog(rows: Rows) -> dict[str, str]:
    """Name → definition of each function, right, table, column, rule, trigger, index, policy and publication."""
    return {row["name"]: row["is"] for row in rows.all(_ENTRIES)}


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """The names of what is in only one of them, or differs."""
    return sorted(differences(before, after))


def differences(before: dict[str, str], after: dict[str, str]) -> dict[str, tuple[str | None, str | None]]:
    names = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
    return {name: (before.get(name), after.get(name)) for name in names}


def is_of_the_host(name: str) -> bool:
    """Whether an entry belongs to one of the three tables of a MobVibe database."""
    return any(table in re.split(r"[ .]", name) for table in HOST_TABLES)


def is_named(difference: str, lines: list[str]) -> bool:
    """Whether one line has all names of a difference: the object, its table, the role."""
    names = [name for name in re.split(r'[ ."]', difference) if name and name not in _KINDS]
    return any(all(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", line) for name in names) for line in lines)
