"""The launcher: the commands of `./triplane` on a prepared machine. It connects lab, engine and program."""
