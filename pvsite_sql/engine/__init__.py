"""How a query file runs: its text, its parameters, the connection that it runs on, and rows to and from Python."""
