"""Asks whether a pinned package has a known weakness: `.ci/audit.py constraints.txt`.

Exit code 1 where one has. Where neither service can be asked, as on a machine without a network or
behind a mirror that knows no weaknesses, it says so and passes: a clone there must still test.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

SERVICES = ("pypi", "osv")


def main(requirements: str) -> int:
    for service in SERVICES:
        code, sentence = verdict(_report(requirements, service))
        print(f"{service}: {sentence}")
        if code is not None:
            return code
    print(f"NOT AUDITED: no service could be asked about {requirements}. Run `make audit` where")
    print("the network allows it.")
    return 0


def verdict(report: Mapping[str, Any] | None) -> tuple[int | None, str]:
    """0 or 1 with a sentence for whoever reads the log; None where nothing could be asked."""
    if report is None:
        return None, "gave no answer."
    found = report["dependencies"]
    asked = [each for each in found if "skip_reason" not in each]
    if not asked:
        return None, f"knows none of {len(found)} packages."
    weak = [
        f"{each['name']} {each['version']}: {weakness['id']}, mended in"
        f" {', '.join(weakness['fix_versions']) or 'no version yet'}"
        for each in asked
        for weakness in each["vulns"]
    ]
    said = f"{len(asked)} of {len(found)} packages audited, {len(weak)} known weaknesses."
    unknown = [each["name"] for each in found if "skip_reason" in each]
    said += f" Not known to it: {', '.join(unknown)}." if unknown else ""
    return int(bool(weak)), "\n  ".join([said, *weak])


def _report(requirements: str, service: str) -> Mapping[str, Any] | None:
    words = ["--requirement", requirements, "--no-deps", "--disable-pip", "--format", "json"]
    words += ["--vulnerability-service", service, "--progress-spinner", "off", "--timeout", "10"]
    # No shell, and the words are our own.
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pip_audit", *words], capture_output=True, text=True, check=False
    )
    try:
        found: Mapping[str, Any] = json.loads(done.stdout)
    except ValueError:
        return None
    return found


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
