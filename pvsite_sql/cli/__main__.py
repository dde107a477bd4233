"""`python -m pvsite_sql.cli` runs `pvsite-sql`."""

from . import main

main()
