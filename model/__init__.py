"""What should exist: pure Python that imports no Pulumi."""
