"""Pulumi components, one per file, made from the data of `model`."""
