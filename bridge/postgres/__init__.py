"""All calls to Postgres, as Python functions. psycopg is imported only here."""
