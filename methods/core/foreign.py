"""Other people's packages as they are, but that their draws follow our generator."""

import contextlib
import io
import warnings
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def foreign_code(generator: torch.Generator) -> Iterator[None]:
    """Within, a package is imported and its modules are built.

    What it draws comes from torch's global generator on the processor, which here goes on from a
    seed that `generator` gives, and afterwards is as it was before. What it prints and warns of at
    import is dropped: standard output may be read by a program, and a warning there is no news.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    with (
        torch.random.fork_rng(devices=[]),
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        torch.default_generator.manual_seed(seed)
        yield
