"""Data sets of the Hugging Face hub at a pinned revision, or a quick sentence why not."""

import contextlib
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tasks.api import LoadRequest, SourceUnavailableError
from tasks.data.packaged import why_package_is_missing

PATIENCE = 3.0
"""Seconds for the hub to accept a connection, before its client's own many retries begin."""


def why_hub_is_missing(request: LoadRequest) -> str | None:  # noqa: ARG001
    """Whether the client is installed; the network is only tried when data are loaded."""
    return why_package_is_missing("datasets", "hub")


def load_hub_dataset(name: str, revision: str, cache: Path | None) -> Any:
    """All splits of a data set, as a `datasets.DatasetDict`."""
    advice = (
        "Connect to the network, or set HF_HUB_OFFLINE=1 if the data set is in Hugging Face's own"
        " cache, or choose another source with `--source`."
    )
    with _hub_refusals(name, advice):
        import datasets

        folder = None if cache is None else str(cache / "hub")
        return datasets.load_dataset(name, revision=revision, cache_dir=folder)


def stream_hub_texts(name: str, revision: str, files: Sequence[str], advice: str) -> Iterator[str]:
    """The column `text` of these files, row by row in their order: what is not asked for is not
    downloaded. `advice` ends the sentence that says why there is none."""
    with _hub_refusals(name, advice):
        import datasets

        data_files = {"train": list(files)}
        rows = datasets.load_dataset(
            name, revision=revision, data_files=data_files, split="train", streaming=True
        )
        for row in rows:
            yield row["text"]


@contextlib.contextmanager
def _hub_refusals(name: str, advice: str) -> Iterator[None]:
    reason = why_hub_is_missing(LoadRequest(data={}))
    if reason is not None:
        raise SourceUnavailableError(f"{name} cannot be fetched: {reason}")
    import datasets
    import huggingface_hub.constants

    offline = huggingface_hub.constants.HF_HUB_OFFLINE
    if not offline and not _hub_answers(huggingface_hub.constants.ENDPOINT):
        raise SourceUnavailableError(
            f"{name} cannot be fetched: the Hugging Face hub does not answer. {advice}"
        )
    try:
        yield
    except (OSError, EOFError, datasets.exceptions.DatasetsError) as error:
        said = str(error).strip().rstrip(".")
        raise SourceUnavailableError(f"{name} cannot be fetched: {said}. {advice}") from error


def _hub_answers(endpoint: str) -> bool:
    """True too where a proxy stands between: it alone can tell."""
    address = urllib.parse.urlsplit(endpoint)
    proxies = urllib.request.getproxies()
    if address.scheme in proxies or "all" in proxies:
        return True
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        socket.create_connection((address.hostname or "", port), timeout=PATIENCE).close()
    except OSError:
        return False
    return True
