"""The launcher: what `./triplane` does once this machine is ready. It puts lab, engine and program together."""
