"""Guesses how a file is to be read, for previews. A load never guesses."""
