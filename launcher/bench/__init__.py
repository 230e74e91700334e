"""Measurements: times of steps, start times of pods, and CPU time."""
