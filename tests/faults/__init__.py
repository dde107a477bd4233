"""Tests that really produce the faults that a user meets, and show what of the data is left."""
