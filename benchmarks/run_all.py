"""Run the benchmarks of speed one after another, each in a process of its own, into docs/measurements.md.

    python benchmarks/run_all.py [--quick]

Needs the results of `dvc repro` and a quiet machine; 40 to 70 minutes on two cores. `--quick` prints a short run of
each and leaves the page alone. If a benchmark fails, the others still run and the exit code is 1.
"""

import argparse
import subprocess
import sys
from pathlib import Path

MINUTES = {
    "graph": 7,
    "noop": 0.4,
    "startup": 2.5,
    "features": 3,
    "heads": 1,
    "tracking": 4.0,
    "importing": 5,
    "paper_recipe": 19,
}
"""About how long each takes, in order."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short run that shows that it works, not how fast it is")
    arguments = parser.parse_args()
    options = ["--quick"] if arguments.quick else ["--into", "docs/measurements.md"]
    failed = []
    for number, (name, minutes) in enumerate(MINUTES.items(), 1):
        about = "" if arguments.quick else f": about {minutes:g} min of {sum(MINUTES.values()):.0f}"
        print(f"[{number}/{len(MINUTES)}] {name}{about}", flush=True)
        script = Path(__file__).with_name(f"{name}.py")
        if subprocess.run([sys.executable, str(script), *options], check=False).returncode:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
