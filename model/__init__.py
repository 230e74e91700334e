"""The desired state: pure Python that imports no Pulumi."""
