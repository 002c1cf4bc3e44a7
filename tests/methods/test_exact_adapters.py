"""Adapters to exact kernels hand over the right layout, mask, lengths and scale.

The packages need a GPU, so stand-ins with their signatures compute here; the real kernels have not
been run.
"""

import copy
import dataclasses
import sys
import warnings

import pytest
import torch

from methods import flash_attention, flex_attention, softmax, xformers_attention
from methods.api import Heads, Method, MissingDependencyError, UnsupportedError
from methods.core.attention import build_attention
from methods.core.testing import assert_method, check_method
from tests.fakes import kernel_packages

HEADS = Heads(num_heads=4, head_dim=16, num_kv_heads=4, max_time=64)


def on_cpu(method: Method, **changes: object) -> Method:
    """The method where its stand-in runs."""
    can = dataclasses.replace(method.can, devices=("cpu",), compute_capability=None, **changes)
    if can.by_option:
        rows = {k: {**v, "compute_capability": None} for k, v in can.by_option.items()}
        can = dataclasses.replace(can, by_option=rows)
    return dataclasses.replace(method, can=can)


FLASH, XFORMERS, FLEX = (
    on_cpu(module.METHOD) for module in (flash_attention, xformers_attention, flex_attention)
)


@pytest.fixture
def flash_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "flash_attn", kernel_packages.flash_attn_2())
    three = kernel_packages.flash_attn_3()
    monkeypatch.setitem(sys.modules, "flash_attn_interface", three)


@pytest.fixture
def xformers_package(monkeypatch):
    for name, module in kernel_packages.xformers().items():
        monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def flex_kernel(monkeypatch):
    functions = kernel_packages.flex_attention()
    monkeypatch.setattr(flex_attention, "_compiled", lambda: functions)
    flex_attention._causal_mask.cache_clear()
    yield
    flex_attention._causal_mask.cache_clear()


@pytest.fixture
def flex_uncompiled(monkeypatch):
    """torch's own kernel without its compiler, and with the backward pass that it refuses on a
    processor."""
    from torch.nn.attention import flex_attention as flex

    monkeypatch.setattr(flex, "_validate_device", lambda *tensors: None)
    functions = flex.flex_attention, flex.create_block_mask
    monkeypatch.setattr(flex_attention, "_compiled", lambda: functions)
    flex_attention._causal_mask.cache_clear()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "flex_attention called without torch.compile")
        yield
    flex_attention._causal_mask.cache_clear()


@pytest.mark.parametrize("version", ["2", "3"])
def test_flash_attention_keeps_the_contract_and_equals_softmax(flash_packages, version):
    options = {"version": version}
    results = check_method(FLASH, options=options, namesake=softmax.METHOD)
    assert not [r for r in results if not r.passed], results
    ran = {r.law for r in results if not r.skipped}
    assert ran >= {"equals-namesake", "low-precision-is-close", "padding-as-good-as-absent"}


def test_xformers_keeps_the_contract_and_equals_softmax(xformers_package):
    assert_method(XFORMERS, namesake=softmax.METHOD)


def test_flex_attention_keeps_the_contract_and_equals_softmax(flex_kernel):
    assert_method(FLEX, namesake=softmax.METHOD)


@pytest.mark.slow
def test_torch_s_own_flex_attention_keeps_the_contract_uncompiled(flex_uncompiled):
    assert_method(FLEX, namesake=softmax.METHOD)


def _inputs(dtype: torch.dtype, time: int = 23, num_kv_heads: int = 4):
    g = torch.Generator().manual_seed(0)
    shapes = (2, 4, time, 16), (2, num_kv_heads, time, 16), (2, num_kv_heads, time, 16)
    return [torch.randn(shape, generator=g).to(dtype) for shape in shapes]


def _holes() -> torch.Tensor:
    """Padding at the start, in the middle and at the end; the second sequence has none."""
    padding = torch.zeros(2, 23, dtype=torch.bool)
    padding[0, [0, 1, 7, 8, 20, 21, 22]] = True
    return padding


@pytest.mark.parametrize("method", [FLASH, XFORMERS, FLEX], ids=lambda m: m.name)
@pytest.mark.parametrize("causal", [False, True])
def test_padding_may_stand_anywhere(flash_packages, xformers_package, flex_kernel, method, causal):
    inputs, padding = _inputs(torch.float16), _holes()
    o = build_attention(method, HEADS, torch.Generator())(
        *inputs, causal=causal, key_padding=padding
    )
    expected = softmax.softmax_attention(
        *(x.double() for x in inputs), causal=causal, key_padding=padding
    )
    # Causally a query at a padded place is nobody's; else every query counts.
    read = ~padding if causal else torch.ones_like(padding)
    apart = (o.double() - expected).abs() * read[:, None, :, None]
    assert apart.max() < 3e-3


@pytest.mark.parametrize("method", [FLASH, FLEX], ids=lambda m: m.name)
def test_query_heads_share_the_right_keys(flash_packages, flex_kernel, method):
    inputs = _inputs(torch.float16, num_kv_heads=2)
    grouped = dataclasses.replace(HEADS, num_kv_heads=2)
    for padding in (None, _holes()):
        o = build_attention(method, grouped, torch.Generator())(*inputs, key_padding=padding)
        expected = softmax.softmax_attention(*(x.double() for x in inputs), key_padding=padding)
        assert (o.double() - expected).abs().max() < 3e-3


def test_early_releases_of_version_3_give_normalisers_too(monkeypatch):
    package = kernel_packages.flash_attn_3(gives_normalisers=True)
    monkeypatch.setitem(sys.modules, "flash_attn_interface", package)
    inputs = _inputs(torch.bfloat16)
    run = build_attention(FLASH, HEADS, torch.Generator(), version="3")
    for padding in (None, _holes()):
        assert run(*inputs, key_padding=padding).shape == inputs[0].shape


def test_layouts_are_handed_over_as_views(monkeypatch):
    """A model's projections come as [batch, time, heads, dim]: nothing is copied on the way."""
    package, given = kernel_packages.flash_attn_2(), []
    dense = package.flash_attn_func
    package.flash_attn_func = lambda *x, **options: given.extend(x) or dense(*x, **options)
    monkeypatch.setitem(sys.modules, "flash_attn", package)
    inputs = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in _inputs(torch.float16)]
    build_attention(FLASH, HEADS, torch.Generator())(*inputs, causal=True)
    assert [x.data_ptr() for x in given] == [x.data_ptr() for x in inputs]
    assert all(x.is_contiguous() for x in given)


@pytest.mark.parametrize("method", [FLASH, XFORMERS, FLEX], ids=lambda m: m.name)
def test_a_model_around_them_can_be_copied(flash_packages, xformers_package, flex_kernel, method):
    """The bench counts operations in a copy."""
    inputs, run = _inputs(torch.float16), build_attention(method, HEADS, torch.Generator())
    assert torch.equal(copy.deepcopy(run)(*inputs), run(*inputs))


def _forgets_causal(package):
    dense = package.flash_attn_func
    package.flash_attn_func = lambda *x, causal: dense(*x)


def _scales_anew(package):
    dense = package.flash_attn_func
    package.flash_attn_func = lambda *x, causal: dense(*x, softmax_scale=1.0, causal=causal)


def _mixes_sequences(package):
    packed = package.flash_attn_varlen_func
    package.flash_attn_varlen_func = lambda *x, **options: packed(*x, **options).roll(1, 0)


@pytest.mark.parametrize(
    ("spoil", "law"),
    [
        (_forgets_causal, "future-not-seen"),
        (_scales_anew, "equals-namesake"),
        (_mixes_sequences, "padding-as-good-as-absent"),
    ],
)
def test_in_half_precision_a_wrong_kernel_still_breaks_its_law(monkeypatch, spoil, law):
    package = kernel_packages.flash_attn_2()
    spoil(package)
    monkeypatch.setitem(sys.modules, "flash_attn", package)
    results = check_method(FLASH, namesake=softmax.METHOD, laws=[law])
    assert [r.passed for r in results] == [False]


@pytest.mark.parametrize(
    ("module", "options", "command"),
    [
        (flash_attention, {}, "pip install flash-attn --no-build-isolation"),
        (flash_attention, {"version": "3"}, "cd flash-attention/hopper"),
        (xformers_attention, {}, "pip install xformers"),
    ],
)
def test_a_missing_package_is_named_with_its_install_command(monkeypatch, module, options, command):
    for name in ("flash_attn", "flash_attn_interface", "xformers"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=command):
        build_attention(module.METHOD, HEADS, torch.Generator(), **options)


def test_a_package_built_for_another_torch_is_missing_with_the_reason(monkeypatch, tmp_path):
    (tmp_path / "flash_attn.py").write_text("raise ImportError('undefined symbol: _ZN2at')")
    monkeypatch.delitem(sys.modules, "flash_attn", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDependencyError, match=r"symbol: _ZN2at\. Install with: pip"):
        build_attention(FLASH, HEADS, torch.Generator())


@pytest.mark.parametrize(
    ("module", "head_dim", "words"),
    [
        (flash_attention, 264, "heads of at most 256 dimensions and of a multiple of 8"),
        (flash_attention, 20, "and these have 20"),
        (xformers_attention, 12, "heads of a multiple of 8 dimensions, and these have 12"),
        (flex_attention, 8, "heads of at least 16 dimensions, and these have 8"),
    ],
)
def test_a_head_dimension_that_the_kernels_lack_is_refused(
    flash_packages, xformers_package, module, head_dim, words
):
    heads = dataclasses.replace(HEADS, head_dim=head_dim)
    with pytest.raises(UnsupportedError, match=words):
        build_attention(module.METHOD, heads, torch.Generator())


def test_nothing_is_computed_elsewhere_or_in_another_dtype(flash_packages, xformers_package):
    for module in (flash_attention, xformers_attention, flex_attention):
        run = build_attention(module.METHOD, HEADS, torch.Generator())
        with pytest.raises(UnsupportedError, match=r"does not run on cpu\. Choose one of cuda"):
            run(*_inputs(torch.float16))
    with pytest.raises(UnsupportedError, match="does not run in float32"):
        build_attention(FLASH, HEADS, torch.Generator())(*_inputs(torch.float32))


def test_an_old_gpu_is_refused_with_what_is_asked(monkeypatch, flash_packages):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 6))
    check = {"device": "cuda", "options": {"version": "3"}}
    with pytest.raises(UnsupportedError, match=r"capability 9\.0 or newer, and this one has 8\.6"):
        check_method(flash_attention.METHOD, **check)


@pytest.mark.slow
def test_flex_attention_compiles_its_masks_into_a_kernel():
    """The forward pass alone: torch has no other on a processor. Compiling takes a minute or so."""
    inputs, padding = _inputs(torch.float32), _holes()
    for causal in (False, True):
        for mask in (None, padding):
            o = build_attention(FLEX, HEADS, torch.Generator())(
                *inputs, causal=causal, key_padding=mask
            )
            expected = softmax.softmax_attention(*inputs, causal=causal, key_padding=mask)
            torch.testing.assert_close(o, expected)
