"""Builds the documentation site into tmp/website/site: python -m scripts.website [--serve PORT].

Pages are those of docs/. What comes from elsewhere (parameters, commands, the list of decisions, all measured numbers)
is put in where a page has the line `<!-- generated: NAME -->`, and is never older than its source. Nothing is fetched:
the site is built, and read, without a network.
"""

import argparse
import functools
import http.server
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML
from scripts.website.built import problems
from scripts.website.navigation import with_all_pages
from scripts.website.pages import write_pages

ROOT = Path(__file__).parents[2]
WORK = ROOT / "tmp/website"


def main() -> None:
    """Build the site, look through it, and serve it to this machine if asked to."""
    parser = argparse.ArgumentParser(prog="python -m scripts.website", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--serve", type=int, metavar="PORT", help="afterwards serve it to this machine alone")
    parser.add_argument("--into", type=Path, default=WORK, help="folder that is filled; tmp/website")
    arguments = parser.parse_args()
    site = build(ROOT, arguments.into.resolve())
    print(f"The site is whole: {site / 'index.html'}")
    if arguments.serve:
        serve(site, arguments.serve)


def build(root: Path, work: Path) -> Path:
    """Build the site of the project in `root` below `work`, and return its folder.

    Raises
    ------
    SystemExit : a link leads nowhere, a page names a page that is not there, or a page loads something from outside.
    """
    write_pages(root, work / "source")
    yaml = YAML(typ="safe", pure=True)
    settings = yaml.load((root / "mkdocs.yml").read_text(encoding="utf-8"))
    settings |= {"docs_dir": "source", "site_dir": "site"}
    settings["nav"] = with_all_pages(settings["nav"], work / "source")
    handler = next(each["mkdocstrings"] for each in settings["plugins"] if "mkdocstrings" in each)["handlers"]["python"]
    handler["paths"] = [str(root / "src")]
    handler["options"]["extensions"] = [str(root / "scripts/website/docstrings.py")]
    with (work / "mkdocs.yml").open("w", encoding="utf-8") as file:
        yaml.dump(settings, file)
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "-f", "mkdocs.yml"], cwd=work, check=False
    )
    if built.returncode:
        sys.exit("error: the site is not whole; what is wrong stands above")
    if found := problems(work / "site"):
        sys.exit("\n  ".join(["error: the site is not whole:", *found]))
    return work / "site"


def serve(site: Path, port: int) -> None:
    """Serve the folder to this machine until Ctrl-C; the search of the site needs a server."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"http://127.0.0.1:{port} (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
