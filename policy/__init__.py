"""Rules for every resource, for previews and for pytest.

The rules import neither Pulumi nor its policy SDK, so that both can call them; `__main__.py` is the policy pack.
"""
