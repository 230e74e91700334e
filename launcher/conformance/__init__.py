"""Running upstream's conformance specs."""
