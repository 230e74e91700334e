"""What must hold of every resource, in every version of the program: rules for a preview and for pytest.

The rules import neither Pulumi nor its policy SDK, so that both can call them; `__main__.py` is the policy pack.
"""
