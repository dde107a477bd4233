"""Those that take minutes, or a right or program that few have: `tox -e faults`."""
