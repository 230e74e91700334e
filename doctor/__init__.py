"""Checks before a first `pulumi up`: this machine, both accounts, and resources that would be in conflict.

It only reads: it creates, changes and deletes nothing. On a real account: `.venv/bin/python -m doctor --stack prod`.
"""
