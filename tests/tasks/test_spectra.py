"""Laws of spectra: the condition and scale asked for, and bad covariances answered."""

import pytest
import torch

from tasks.probes.spectra import SPECTRA, require_covariance, require_proposal, spectrum


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("dim", [2, 7, 64])
def test_a_spectrum_has_the_scale_and_the_condition_asked_for(name, dim):
    condition = 1.0 if name == "flat" else 1e5
    lam = spectrum(name, dim, largest=0.3, condition=condition)
    assert lam.dtype == torch.float64
    assert lam.shape == (dim,)
    assert (lam.diff() <= 0).all()
    torch.testing.assert_close(lam[0] / lam[-1], lam.new_tensor(condition))
    assert lam[0].item() == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"name": "steep"}, "'steep' is none"),
        ({"dim": 0}, "dim must be 1"),
        ({"largest": 0.0}, "above 0"),
        ({"largest": float("inf")}, "finite"),
        ({"condition": 0.5}, "1 or more"),
        ({"condition": 2.0, "name": "flat"}, "condition 1"),
    ],
)
def test_numbers_that_no_covariance_has_are_refused(wrong, word):
    asked = {"name": "spiked", "dim": 4, "largest": 0.1, "condition": 10.0} | wrong
    with pytest.raises(ValueError, match=word):
        spectrum(asked.pop("name"), asked.pop("dim"), **asked)


def test_a_covariance_that_is_not_positive_definite_names_the_direction():
    covariance = torch.diag(torch.tensor([1.0, 2.0, -0.25], dtype=torch.float64))
    with pytest.raises(ValueError, match=r"eigenvalue along 1 e2 is -0\.25"):
        require_covariance(covariance)
    vector = torch.tensor([3.0, 4.0], dtype=torch.float64)
    with pytest.raises(ValueError, match=r"along 0\.8 e0 - 0\.6 e1 is"):
        require_covariance(torch.outer(vector, vector))


def test_a_covariance_is_symmetric_and_finite():
    with pytest.raises(ValueError, match=r"differ by 0\.5"):
        require_covariance(torch.tensor([[1.0, 0.5], [0.0, 1.0]]))
    with pytest.raises(ValueError, match="not finite"):
        require_covariance(torch.full((2, 2), float("nan")))


def test_a_scale_without_optimal_proposal_says_where_and_by_how_much():
    require_proposal(torch.diag(torch.tensor([0.4, 0.499])))
    with pytest.raises(
        ValueError, match=r"0\.6 >= 1/2, along 1 e1, too large by 0\.1\. .* 0\.9129"
    ):
        require_proposal(torch.diag(torch.tensor([0.4, 0.6], dtype=torch.float64)))
    with pytest.raises(ValueError, match=r"0\.5 >= 1/2"):
        require_proposal(torch.diag(torch.tensor([0.5, 0.1], dtype=torch.float64)))
