"""Checks before a first `pulumi up`, reading only: this machine, both accounts, and what is in the way.

It creates, changes and deletes nothing. On a real account: `.venv/bin/python -m doctor --stack prod`.
"""
