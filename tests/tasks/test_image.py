"""Laws of Image: grey, shrinking, CIFAR-10's files and rows, the digits."""

import datasets
import numpy as np
import pytest
from PIL import Image

from tasks.api import LoadRequest, SourceUnavailableError
from tasks.data.images import cifar_records, grey, mnist_5k, shrink
from tasks.lra.image import DEFAULTS, FILES, TASK, cifar, from_rows


def colours(num, seed=0):
    rng = np.random.RandomState(seed)
    return rng.randint(0, 256, (num, 32, 32, 3), dtype=np.uint8), rng.randint(0, 10, num)


def write_binary(folder, counts):
    folder.mkdir(parents=True)
    for seed, (name, count) in enumerate(zip(FILES, counts, strict=True)):
        pixels, labels = colours(count, seed)
        planes = np.moveaxis(pixels, 3, 1).reshape(count, -1)
        records = np.concatenate([labels[:, None].astype(np.uint8), planes], axis=1)
        (folder / name).write_bytes(records.tobytes())


def release(path, **changed):
    return TASK.source("release").load(LoadRequest(data={**DEFAULTS, **changed}, path=path))


def packaged(**changed):
    return TASK.source("packaged").load(LoadRequest(data={**DEFAULTS, **changed}))


@pytest.mark.parametrize("level", [0, 1, 77, 254, 255])
def test_a_grey_pixel_keeps_its_level(level):
    plane = np.full((1, 1), level, dtype=np.uint8)
    assert grey(plane, plane, plane)[0, 0] == level


def test_grey_is_the_luma_of_itu_r_601():
    red, green, blue = np.moveaxis(colours(3)[0], 3, 0)
    luma = 0.2989 * red + 0.5870 * green + 0.1140 * blue
    assert np.abs(grey(red, green, blue) - luma).max() <= 1


def test_shrinking_takes_means_over_squares():
    image = np.arange(36, dtype=np.uint8).reshape(1, 6, 6)
    expected = image.reshape(3, 2, 3, 2).mean(axis=(1, 3)).astype(np.uint8)
    np.testing.assert_array_equal(shrink(image, 3)[0], expected)


def test_a_side_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="side 28 cannot shrink to side 10"):
        packaged(side=10)


def test_the_digits_are_split_with_every_digit_in_its_share():
    data = packaged(side=7)
    for split, each in ((data.train, 350), (data.validation, 50), (data.test, 100)):
        assert np.bincount(split.labels).tolist() == [each] * 10


def test_the_digits_are_those_of_the_package():
    images, labels = mnist_5k()
    assert images.shape == (5000, 28, 28)
    assert np.bincount(labels).tolist() == [500] * 10
    data = packaged()
    parts = (data.train, data.validation, data.test)
    together = np.concatenate([part.tokens[:, 0] for part in parts])
    assert together.astype(int).sum() == images.astype(int).sum() + images.size


def test_no_digit_is_in_two_splits():
    data = packaged()
    rows = {name: {t.tobytes() for t in getattr(data, name).tokens} for name in ("train", "test")}
    assert not rows["train"] & rows["test"]


def test_no_token_is_padding():
    data = packaged(side=14)
    assert data.train.tokens.min() == 1
    assert (data.train.lengths == 196).all()


@pytest.mark.parametrize("nesting", ["", "cifar-10-batches-bin"])
def test_the_last_tenth_of_the_binary_release_validates(tmp_path, nesting):
    write_binary(tmp_path / "root" / nesting, (5, 4, 5, 3, 3, 7))
    data = release(tmp_path / "root")
    assert [len(s) for s in (data.train, data.validation, data.test)] == [18, 2, 7]
    pixels, labels = colours(7, seed=5)
    np.testing.assert_array_equal(data.test.labels, labels)
    expected = grey(*np.moveaxis(pixels, 3, 0)).reshape(7, 1, 1024).astype(int) + 1
    np.testing.assert_array_equal(data.test.tokens, expected)


def test_a_missing_batch_is_named(tmp_path):
    write_binary(tmp_path / "root", (1, 1, 1, 1, 1, 1))
    (tmp_path / "root" / "data_batch_4.bin").unlink()
    with pytest.raises(SourceUnavailableError, match=r"data_batch_4\.bin.*cifar-10-binary"):
        release(tmp_path / "root")


@pytest.mark.parametrize("content", [b"", b"x" * 3072, b"\x03" * 3073 + b"\x0b" * 3073])
def test_a_damaged_file_is_named(content):
    with pytest.raises(SourceUnavailableError, match=r"batch\.bin"):
        cifar_records(content, "batch.bin")


def test_rows_of_the_hub_equal_the_binary_release(tmp_path):
    write_binary(tmp_path / "root", (5, 4, 5, 3, 3, 7))
    parts = [colours(count, seed) for seed, count in enumerate((5, 4, 5, 3, 3, 7))]
    features = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(10)})
    rows = [
        datasets.Dataset.from_dict(
            {
                "img": [Image.fromarray(p) for pixels, _ in group for p in pixels],
                "label": [int(label) for _, labels in group for label in labels],
            },
            features=features,
        )
        for group in (parts[:5], parts[5:])
    ]
    from_hub = cifar(from_rows(rows[0]), from_rows(rows[1]), DEFAULTS)
    assert from_hub.digest == release(tmp_path / "root").digest
