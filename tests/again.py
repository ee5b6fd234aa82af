"""Name the tests that failed beside others, and say whether they may be run once more alone (`make check`).

A busy machine breaks a bar of time now and then; a test that fails alone too shows a fault.
"""

import json
import sys
from pathlib import Path

MOST = 3  # more than that is no accident of a busy machine
LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")


def main() -> int:
    failed = sorted(json.loads(LAST_FAILED.read_text())) if LAST_FAILED.exists() else []
    if not 0 < len(failed) <= MOST:
        print("These failed:", *(f"  {name}" for name in failed), sep="\n", flush=True)
        return 1
    print("These failed beside other tests and are now run alone; mend each test that is named here:")
    print(*(f"  {name}" for name in failed), sep="\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
