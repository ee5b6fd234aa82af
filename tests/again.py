"""Names what failed beside other tests, and says whether it may be run once more on its own (`make check`).

A machine that is busy with other tests breaks a bar of time now and then; what fails on its own too is a fault.
"""

import json
import sys
from pathlib import Path

MOST = 3  # that many may be the machine's fault, no more
LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")


def main() -> int:
    failed = sorted(json.loads(LAST_FAILED.read_text())) if LAST_FAILED.exists() else []
    if not 0 < len(failed) <= MOST:
        return 1
    print("Failed beside other tests, and now run on their own; whoever sees one here twice, mend it:")
    print(*(f"  {name}" for name in failed), sep="\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
