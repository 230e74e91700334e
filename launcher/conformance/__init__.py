"""Runs of upstream's conformance specs."""
