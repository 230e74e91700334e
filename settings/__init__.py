"""What an operator writes in a stack's file: read, typed, checked, and told in plain words where it is wrong."""
