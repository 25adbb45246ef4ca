"""Entries that operators already use; the code lives in `turkish_ai`."""
