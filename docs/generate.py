"""`make docs` writes the generated pages; `--check` only says which of them are out of date."""

import sys
from pathlib import Path

from docs import api_page, configuration_page, events_page, metrics_table

FOLDER = Path(__file__).parent
PAGES = {
    "api.md": api_page.page,
    "configuration.md": configuration_page.page,
    "events.md": events_page.page,
    "metrics.md": metrics_table.page,
}


def outdated(folder: Path = FOLDER) -> list[str]:
    """Names of the pages that do not say what their sources say."""
    files = {name: folder / name for name in PAGES}
    return [
        name
        for name, page in PAGES.items()
        if not files[name].is_file() or files[name].read_text(encoding="utf-8") != page()
    ]


def main() -> None:
    """Write the pages, or with `--check` exit with the names of those that are out of date."""
    stale = outdated()
    if sys.argv[1:] == ["--check"]:
        sys.exit(f"out of date: {', '.join(stale)}; run `make docs`" if stale else None)
    for name in stale:
        (FOLDER / name).write_text(PAGES[name](), encoding="utf-8")
        sys.stdout.write(f"docs/{name} written\n")


if __name__ == "__main__":
    main()
