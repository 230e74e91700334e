"""The command line: `python -m doctor --stack prod`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from doctor import estimate
from doctor.examination import Examination, Question, Result
from doctor.findings import State
from doctor.stack import Pulumi

CHECKOUT = Path(__file__).resolve().parents[1]
INTERRUPTED = 130
NAME_WIDTH = 22

EPILOG = """\
Each line is one check: ok, note (good to know, or could not be checked), or WRONG, with what to do. Exit code: 0 where
nothing is WRONG, 1 where something is, 2 for a wrong command line. Nothing is created, changed or deleted: only GET is
sent. Tokens come from the stack's configuration or the environment, and are never shown. docs/first-run.md tells more.
"""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    made = argparse.ArgumentParser(
        prog="python -m doctor",
        description="Check this machine and both accounts before a first `pulumi up`, reading only.",
        epilog=EPILOG,
    )
    made.add_argument("-s", "--stack", metavar="NAME", help="the stack to check (default: the selected one)")
    made.add_argument("--json", action="store_true", help="print one JSON object, for programs")
    made.add_argument(
        "--address",
        type=_address,
        metavar="IPV4",
        help="this machine's public address (default: 1.1.1.1 is asked for it)",
    )
    made.add_argument(
        "--dial", metavar="HOST", help="try to get out to ports 22 and 2222 of this machine, which listens on both"
    )
    made.add_argument(
        "--outside",
        type=_url,
        metavar="URL",
        help="ask this server, instead of 1.1.1.1, for the address and the name servers",
    )
    made.add_argument(
        "-C", "--cwd", type=Path, default=CHECKOUT, metavar="DIR", help="where Pulumi.yaml is (default: this checkout)"
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all checks. Returns the exit code."""
    words = parser()
    asked = words.parse_args(arguments)
    if not (asked.cwd / "Pulumi.yaml").is_file():
        words.error(f"argument -C/--cwd: there is no Pulumi.yaml in {asked.cwd}")
    question = Question(
        pulumi=Pulumi(directory=asked.cwd),
        stack=asked.stack,
        address=asked.address,
        dial=asked.dial,
        outside=asked.outside,
    )
    try:
        return examine(question, as_json=asked.json)
    except KeyboardInterrupt:
        print("stopped; nothing was changed", file=sys.stderr)
        return INTERRUPTED


def examine(question: Question, *, as_json: bool) -> int:
    """Run all checks and print what they find. Returns the exit code."""
    examination, results = Examination(question), []
    for name, found in examination.run():
        results.append((name, found))
        if not as_json:
            print(f"{found.state:<6} {name:<{NAME_WIDTH}} {found}", flush=True)
    end = _end(examination)
    if as_json:
        print(json.dumps({"checks": [_plain(result) for result in results], **end}, indent=2))
    else:
        _say_end(results, end)
    return 1 if any(found.state is State.WRONG for _, found in results) else 0


def _end(examination: Examination) -> dict[str, Any]:
    """Cost and time of a stack, if its settings could be read."""
    stack = examination.stack
    if stack is None:
        return {"stack": None}
    cost, (least, most) = estimate.cost(stack, examination.cloud), estimate.MINUTES
    return {
        "stack": stack.name,
        "cost": {
            "usdAMonth": round(cost.a_month, 2),
            "usdAnHour": round(cost.an_hour, 4),
            "source": cost.source,
            "unpriced": list(cost.unpriced),
        },
        "minutes": {"least": least, "most": most},
    }


def _plain(result: Result) -> dict[str, str]:
    name, found = result
    return {"check": name, "state": str(found.state).lower(), "found": found.found, "advice": found.advice}


def _say_end(results: Sequence[Result], end: dict[str, Any]) -> None:
    print()
    if cost := end.get("cost"):
        less = f" without {', '.join(cost['unpriced'])}, whose price is not known" if cost["unpriced"] else ""
        print(f"Cost: {cost['usdAMonth']:.2f} US dollars a month, {cost['usdAnHour']:.3f} an hour{less}.")
        print(f"      By {cost['source']}; tax, and traffic beyond the allowance, are extra.")
        print(
            f"Time: about {end['minutes']['least']} to {end['minutes']['most']} minutes for a first `pulumi up` "
            "(an estimate: no test has run on a real account)."
        )
    bad = sum(found.state is State.WRONG for _, found in results)
    notes = sum(found.state is State.NOTE for _, found in results)
    print(f"{len(results)} checks: {bad} wrong, {notes} to note. Nothing was changed.")


def _address(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not an IPv4 address, such as 203.0.113.7") from None


def _url(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise argparse.ArgumentTypeError(f"{text} is not an address such as https://1.1.1.1")
    return text


if __name__ == "__main__":
    sys.exit(main())
