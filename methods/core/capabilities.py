"""What a method declares that it can do, enforced: what it does not declare raises."""

import dataclasses
import importlib
import importlib.util
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

import torch
from torch import Tensor

from methods.api import Heads, KeyPadding, Method, MissingDependencyError, UnsupportedError


def missing_packages(method: Method) -> list[str]:
    """The import names that the method needs and that are not installed."""
    return [name for name in method.can.packages if importlib.util.find_spec(name) is None]


def require_packages(method: Method) -> None:
    """A missing package is an error that holds the install command."""
    if missing := missing_packages(method):
        raise MissingDependencyError(
            f"{method.name} needs {', '.join(missing)}, not installed here."
            f" Install with: {method.can.install or 'pip install ' + ' '.join(missing)}"
        )


def import_package(method: str, name: str, install: str) -> ModuleType:
    """A package that the method needs. One that is installed and broken, as a kernel built for
    another torch is, is as good as missing: the error says why, and how to install it again."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"{method} needs {name}, which cannot be imported here: {error}."
            f" Install with: {install}"
        ) from error


def under_options(method: Method, options: Mapping[str, Any]) -> Method:
    """The method with the capabilities that it has under these options."""
    return dataclasses.replace(method, can=method.can.with_options(options))


def require_options(method: Method, options: Mapping[str, Any]) -> None:
    """An unknown name, or a value that is none of the option's choices, is an error."""
    known = method.options
    for name, value in options.items():
        if name not in known:
            rest = f"It has {', '.join(known)}." if known else "It has none."
            raise ValueError(f"{method.name} has no option {name!r}. {rest}")
        annotation = known[name].annotation
        if get_origin(annotation) is Literal and value not in get_args(annotation):
            choices = " or ".join(map(str, get_args(annotation)))
            raise ValueError(f"{name} of {method.name} is {choices}, not {value!r}.")


def require_head_dim(method: Method, heads: Heads) -> None:
    """The head dimension is one that the method's kernels have."""
    if problem := method.can.head_dim_problem(heads.head_dim):
        raise UnsupportedError(
            f"{method.name} {problem}. Choose another number of heads, or another method."
        )


def require_grouping(method: Method, heads: Heads) -> None:
    """Query heads share key-value heads evenly, and only where that is declared."""
    if heads.num_kv_heads < 1 or heads.num_heads % heads.num_kv_heads:
        raise ValueError(
            f"{heads.num_heads} query heads cannot share {heads.num_kv_heads} key-value heads"
            " evenly: choose a divisor."
        )
    if heads.num_kv_heads != heads.num_heads and not method.can.grouped_query:
        raise UnsupportedError(
            f"{method.name} cannot share key-value heads among query heads."
            f" Give it {heads.num_heads} key-value heads, or choose another method."
        )


def require_direction(method: Method, causal: bool) -> None:
    """Causal or bidirectional, as declared."""
    if causal and not method.can.causal:
        raise UnsupportedError(
            f"{method.name} cannot be causal: its outputs depend on later positions."
            " Choose a bidirectional task, or another method."
        )
    if not causal and not method.can.bidirectional:
        raise UnsupportedError(
            f"{method.name} is only causal: it cannot see later positions."
            " Choose a causal task, or another method."
        )


def require_padding(method: Method, key_padding: KeyPadding | None) -> None:
    """Padding comes only where it is declared."""
    if key_padding is not None and not method.can.key_padding:
        raise UnsupportedError(
            f"{method.name} cannot mask padded keys."
            " Choose a task without padding, or another method."
        )


def require_stepwise(method: Method) -> None:
    """Decoding with a state is asked for only where it is declared."""
    if not method.can.stepwise:
        raise UnsupportedError(
            f"{method.name} cannot continue a sequence step by step with a state of constant size."
            " Give it the whole sequence, or choose another method."
        )


def require_tensor(method: Method, x: Tensor) -> None:
    """The dtype and the device are declared ones."""
    dtype = str(x.dtype).removeprefix("torch.")
    if dtype not in method.can.dtypes:
        raise UnsupportedError(
            f"{method.name} does not run in {dtype}. Choose one of {', '.join(method.can.dtypes)}."
        )
    require_device(method, x.device)


def require_device(method: Method, device: torch.device) -> None:
    """The kind of device is a declared one, and a GPU is new enough."""
    if device.type not in method.can.devices:
        raise UnsupportedError(
            f"{method.name} does not run on {device.type}."
            f" Choose one of {', '.join(method.can.devices)}."
        )
    if device.type == "cuda" and method.can.compute_capability is not None:
        problem = method.can.gpu_problem(torch.cuda.get_device_capability(device))
        if problem:
            raise UnsupportedError(f"{method.name} {problem}. Choose another GPU or method.")


def require_times(method: Method, query_time: int, key_time: int, causal: bool) -> None:
    """Other numbers of queries than of keys come only where cross attention is declared."""
    if query_time == key_time:
        return
    if causal:
        raise ValueError(
            f"causal attention needs as many queries as keys; {query_time} and {key_time} came."
        )
    if not method.can.cross:
        raise UnsupportedError(
            f"{method.name} cannot attend across sequences: {query_time} queries met {key_time}"
            " keys. Give it both from one sequence, or choose another method."
        )
