"""Pathfinder can be learned by looking at shapes, and not by counting pixels. Takes minutes."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tasks.api import Dataset, LoadRequest, Split
from tasks.lra.pathfinder import TASK

pytestmark = pytest.mark.slow
CHANCE_BOUND = 0.55
"""Chance on 2000 test pictures, and more than four standard errors."""
WIDTH = 32
STEPS = 900


@pytest.fixture(scope="module")
def small() -> Dataset:
    preset = TASK.preset("small")
    data = {**preset.data, "num_train": 12_000, "num_test": 2_000}
    return TASK.source("generated").load(LoadRequest(data=data))


def pictures(split: Split) -> tuple[Tensor, Tensor]:
    """Grey values from 0 to 1, `[picture, 1, row, column]`, and labels."""
    grey = torch.from_numpy(split.tokens.astype(np.float32) - 1) / 255
    side = round(grey.shape[2] ** 0.5)
    return grey.reshape(-1, 1, side, side), torch.from_numpy(split.labels.astype(np.int64))


class Residual(nn.Module):
    """x + relu(norm(conv(x)))."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(WIDTH, WIDTH, 3, padding=dilation, dilation=dilation)
        self.norm = nn.BatchNorm2d(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu(self.norm(self.conv(x)))


def convolutions() -> nn.Sequential:
    """Nine layers and 75 thousand parameters."""
    return nn.Sequential(
        nn.Conv2d(1, WIDTH, 3, padding=1),
        nn.BatchNorm2d(WIDTH),
        nn.ReLU(),
        *(Residual(1 + layer % 3) for layer in range(8)),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(WIDTH, 2),
    )


def turned(x: Tensor, generator: torch.Generator) -> Tensor:
    """One of the eight symmetries of the square, which keep the label."""
    which = int(torch.randint(8, (1,), generator=generator))
    x = torch.rot90(x, which % 4, (2, 3))
    return x.flip(3) if which >= 4 else x


def train(model: nn.Module, x: Tensor, y: Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=STEPS)
    for _ in range(STEPS):
        batch = torch.randint(len(x), (64,), generator=generator)
        loss = nn.functional.cross_entropy(model(turned(x[batch], generator)), y[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


@torch.no_grad()
def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    model.eval()
    guesses = torch.cat([model(part).argmax(1) for part in x.split(200)])
    return float((guesses == y).float().mean())


def fitted_line(x: Tensor, y: Tensor) -> nn.Linear:
    """Logistic regression on standardised features, with a little weight decay."""
    torch.manual_seed(0)
    line = nn.Linear(x.shape[1], 2)
    optimiser = torch.optim.LBFGS(line.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(line(x), y) + 1e-3 * line.weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return line


def linear_accuracy(train_x: Tensor, train_y: Tensor, test_x: Tensor, test_y: Tensor) -> float:
    mean, scale = train_x.mean(0), train_x.std(0) + 1e-6
    line = fitted_line((train_x - mean) / scale, train_y)
    return accuracy(line, (test_x - mean) / scale, test_y)


def histogram(x: Tensor) -> Tensor:
    """How many pixels have each of 32 levels, and each row and column's ink."""
    level = (x.flatten(1) * 31).round().long()
    counts = nn.functional.one_hot(level, 32).sum(1).float()
    return torch.cat([counts, x.sum((1, 2)), x.sum((1, 3))], dim=1)


def test_a_small_convolutional_classifier_learns_pathfinder(small: Dataset):
    torch.manual_seed(0)
    model = convolutions()
    train(model, *pictures(small.train))
    assert accuracy(model, *pictures(small.test)) > 0.8


def test_a_bag_of_pixels_does_not(small: Dataset):
    (train_x, train_y), (test_x, test_y) = pictures(small.train), pictures(small.test)
    assert linear_accuracy(train_x.flatten(1), train_y, test_x.flatten(1), test_y) < CHANCE_BOUND


def test_a_histogram_of_grey_values_does_not(small: Dataset):
    (train_x, train_y), (test_x, test_y) = pictures(small.train), pictures(small.test)
    assert linear_accuracy(histogram(train_x), train_y, histogram(test_x), test_y) < CHANCE_BOUND
