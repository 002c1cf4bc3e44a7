"""Every paper whose claims stand in this folder."""

import importlib
import pkgutil

import reports.claims
from reports.claims.claim import Paper


def papers() -> dict[str, Paper]:
    """By name. A module of this folder that defines `PAPER` is one: no list is kept elsewhere."""
    modules = [
        importlib.import_module(f"{reports.claims.__name__}.{info.name}")
        for info in pkgutil.iter_modules(reports.claims.__path__)
        if info.name != __name__.rpartition(".")[2]
    ]
    found = [getattr(module, "PAPER", None) for module in modules]
    return {paper.name: paper for paper in found if isinstance(paper, Paper)}
