"""`python -m pvsite_sql.cli` is `pvsite-sql`."""

from . import main

main()
