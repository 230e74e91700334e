"""The commands of `./triplane`, one per file: each imports only what it needs, so kubectl imports no web servers."""
