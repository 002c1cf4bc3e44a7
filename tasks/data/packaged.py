"""Data inside installed packages, read as files: the packages themselves are not imported."""

import importlib.util
from pathlib import Path

from tasks.api import SourceUnavailableError


def why_package_is_missing(package: str, extra: str) -> str | None:
    """A sentence with the install command, or None."""
    if importlib.util.find_spec(package) is not None:
        return None
    return (
        f"the package {package!r} is not installed:"
        f" `pip install {package}` or `pip install 'attention-bench[{extra}]'`."
    )


def package_file(package: str, *parts: str) -> Path:
    """A file or folder inside a package."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SourceUnavailableError(str(why_package_is_missing(package, "packaged")))
    path = Path(spec.submodule_search_locations[0], *parts)
    if not path.exists():
        raise SourceUnavailableError(
            f"the installed {package!r} lacks {'/'.join(parts)}: install the version that the"
            " constraints file names."
        )
    return path
