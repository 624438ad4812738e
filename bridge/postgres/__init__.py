"""Everything said to Postgres, as functions of Python. psycopg is imported only here."""
