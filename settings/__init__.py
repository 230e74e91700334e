"""The settings in a stack's file: reading, types, checks, and error messages."""
