"""Pulumi components, one a file, made from `model`'s data."""
