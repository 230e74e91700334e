"""The commands of `./triplane`, a file each: one imports what it needs, and no web servers for kubectl."""
