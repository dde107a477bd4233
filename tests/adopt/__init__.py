"""Databases of pvsite-datamodel, to be taken over."""
