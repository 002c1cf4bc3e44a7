"""The official release's folders, written here in its format."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tasks.api import LoadRequest, SourceUnavailableError
from tasks.data.pathfinder_release import load_release, why_missing
from tasks.data.pathfinder_sources import pathfinder_data

Image = pytest.importorskip("PIL.Image")
NESTINGS = pytest.mark.parametrize("nesting", ["", "lra_release", "lra_release/lra_release"])


def request(path: Path | None, *, side: int = 32, length: int = 14, num: int = 99) -> LoadRequest:
    data = pathfinder_data(
        num_train=num, num_validation=num, num_test=num, side=side, contour_length=length
    )
    return LoadRequest(data=data, path=path)


def write_release(
    path: Path, nesting: str = "", *, side: int = 32, folder: str = "curv_contour_length_14"
) -> Path:
    """Batches 2 and 10 of 10 pictures; every pixel of picture i of batch b has the value b + i,
    and its label is 1 for even i."""
    root = path / nesting / f"pathfinder{side}" / folder
    for batch in (2, 10):
        (root / "imgs" / str(batch)).mkdir(parents=True)
        (root / "metadata").mkdir(exist_ok=True)
        lines = []
        for i in range(10):
            grey = np.full((side, side), batch + i, dtype=np.uint8)
            Image.fromarray(grey).save(root / f"imgs/{batch}/sample_{i}.png")
            label = 1 - i % 2
            lines.append(f"imgs/{batch} sample_{i}.png {i} {label} 1.0 14 4 2 0.5 1 1\n")
        (root / f"metadata/{batch}.npy").write_text("".join(reversed(lines)))
    return root


@NESTINGS
def test_every_nesting_is_found(tmp_path, nesting):
    write_release(tmp_path, nesting)
    assert why_missing(request(tmp_path)) is None
    assert len(load_release(request(tmp_path)).train) == 16


def test_pictures_come_by_batch_and_number_in_shares_of_80_10_and_10(tmp_path):
    write_release(tmp_path)
    data = load_release(request(tmp_path))
    greys = [(split.tokens[:, 0, 0] - 1).tolist() for split in (data.train, data.validation)]
    assert greys == [[*range(2, 12), *range(10, 16)], [16, 17]]
    assert data.test.labels.tolist() == [1, 0]
    assert data.train.tokens.shape == (16, 1, 1024)


def test_counts_take_the_first_of_each_share(tmp_path):
    write_release(tmp_path)
    data = load_release(request(tmp_path, num=1))
    assert [split.tokens[0, 0, 0] - 1 for split in (data.train, data.validation, data.test)] == [
        2,
        16,
        18,
    ]


def test_an_empty_picture_is_left_out_and_counted(tmp_path):
    (write_release(tmp_path) / "imgs/2/sample_0.png").write_bytes(b"")
    data = load_release(request(tmp_path))
    assert data.train.tokens[0, 0, 0] - 1 == 3
    assert "19 pictures (1 empty files left out)" in data.what


def test_the_record_names_no_place_on_the_machine(tmp_path):
    write_release(tmp_path, "lra_release")
    said = load_release(request(tmp_path)).what
    assert "lra_release/pathfinder32/curv_contour_length_14" in said
    assert str(tmp_path) not in said


def test_of_two_copies_the_inner_one_is_read(tmp_path):
    outer = write_release(tmp_path, side=128)
    write_release(tmp_path, "lra_release/lra_release", side=128)
    (outer / "metadata/2.npy").write_text("")
    data = load_release(request(tmp_path, side=128))
    assert len(data.train) == 16
    assert "lra_release/lra_release" in data.what


def test_an_easier_task_is_another_folder(tmp_path):
    write_release(tmp_path, folder="curv_baseline")
    assert why_missing(request(tmp_path, length=6)) is None
    assert "curv_contour_length_14" in str(why_missing(request(tmp_path)))


def test_a_missing_picture_is_named(tmp_path):
    (write_release(tmp_path) / "imgs/10/sample_3.png").unlink()
    with pytest.raises(SourceUnavailableError, match=r"sample_3\.png, which does not exist"):
        load_release(request(tmp_path))


@pytest.mark.parametrize("line", ["imgs/2 sample_0.png 0", "imgs/2 sample_0.png 0 7", "\x93NUMPY"])
def test_a_foreign_line_is_named(tmp_path, line):
    (write_release(tmp_path) / "metadata/10.npy").write_text(line + "\n")
    with pytest.raises(SourceUnavailableError, match=r"10\.npy, line 1: expected a folder"):
        load_release(request(tmp_path))


def test_an_unreadable_picture_is_named(tmp_path):
    (write_release(tmp_path) / "imgs/10/sample_3.png").write_bytes(b"no picture")
    with pytest.raises(SourceUnavailableError, match=r"sample_3\.png is not a readable picture"):
        load_release(request(tmp_path))


def test_a_picture_of_another_size_is_named(tmp_path):
    root = write_release(tmp_path)
    Image.fromarray(np.zeros((5, 7), dtype=np.uint8)).save(root / "imgs/2/sample_4.png")
    with pytest.raises(SourceUnavailableError, match=r"sample_4\.png has 7 x 5 pixels"):
        load_release(request(tmp_path))


def test_what_is_missing_is_said_before_anything_is_read(tmp_path):
    assert "was not given" in str(why_missing(request(None)))
    assert "does not exist" in str(why_missing(request(tmp_path / "nowhere")))
    assert "lacks the folder metadata" in str(why_missing(request(tmp_path)))
    assert "no pictures of side 16" in str(why_missing(request(tmp_path, side=16)))


def test_too_few_pictures_to_split_are_refused(tmp_path):
    root = write_release(tmp_path)
    for batch in (2, 10):
        (root / f"metadata/{batch}.npy").write_text("")
    with pytest.raises(SourceUnavailableError, match="0 pictures: too few to split"):
        load_release(request(tmp_path))


def test_without_pillow_the_install_command_is_said(tmp_path, monkeypatch):
    write_release(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert "pip install pillow" in str(why_missing(request(tmp_path)))
    with pytest.raises(SourceUnavailableError, match="pip install pillow"):
        load_release(request(tmp_path))
