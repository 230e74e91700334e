"""A command `pulumi` that answers what it is told to, and notes how it was asked."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

from doctor.stack import Pulumi

# Words that start with a dash, and the value of --cwd, are not what is asked.
PROGRAM = """\
#!{python}
import json, os, sys
words = [word for word in sys.argv[3:] if not word.startswith("-")]
with open("{folder}/asked", "a") as file:
    file.write(json.dumps([sys.argv, dict(os.environ)]) + "\\n")
answers = json.load(open("{folder}/answers"))
known = [answers[key] for key in (" ".join(words[:2]), words[0]) if key in answers]
if not known or known[0].startswith("error: "):
    sys.exit(known[0] if known else "error: unknown question")
print(known[0])
"""


class Answers(dict[str, str]):
    """Command → what it prints, or the error it ends with."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def __setitem__(self, key: str, value: str) -> None:
        super().__setitem__(key, value)
        self._file.write_text(json.dumps(self))


@dataclass
class FakePulumi:
    folder: Path
    answers: Answers = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.answers = Answers(self.folder / "answers")
        (self.folder / "Pulumi.yaml").write_text("name: triplane\nruntime: python\n")
        program = self.folder / "pulumi"
        program.write_text(PROGRAM.format(python=sys.executable, folder=self.folder))
        program.chmod(0o755)

    @property
    def pulumi(self) -> Pulumi:
        return Pulumi(directory=self.folder)

    @property
    def asked(self) -> list[tuple[list[str], dict[str, str]]]:
        """Arguments and environment of each call."""
        return [tuple(json.loads(line)) for line in (self.folder / "asked").read_text().splitlines()]
