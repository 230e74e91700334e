"""Measuring: when steps ran, and how fast pods start."""
