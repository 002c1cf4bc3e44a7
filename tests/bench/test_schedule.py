"""Laws of sharing devices, over any trials on any devices."""

from hypothesis import given
from hypothesis import strategies as st

from bench.executors.schedule import Schedule, Start, Wish

KINDS = ("cpu", "Fake GPU", "Other GPU")


@st.composite
def grids(draw):
    """Kinds of devices, how many may share one, and what trials ask for."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=5))
    wish = st.builds(Wish, st.sampled_from(sorted(set(kinds))), st.booleans())
    return kinds, draw(st.integers(1, 4)), draw(st.lists(wish, max_size=30))


class Play:
    """Runs a schedule to its end; what is running ends in an order that hypothesis draws."""

    def __init__(self, grid, draw) -> None:
        self.kinds, self.shares, self.wishes = grid
        self.schedule = Schedule(self.kinds, self.wishes, shares=self.shares)
        self.running: dict[int, int] = {}
        self.started: list[Start] = []
        self._draw = draw

    def moments(self):
        """Every moment at which all that may start has started."""
        while not self.schedule.is_over:
            for start in self.schedule.starts():
                self.running[start.trial] = start.device
                self.started.append(start)
            yield
            over = self._draw(st.sampled_from(sorted(self.running)))
            del self.running[over]
            self.schedule.ended(over)

    def on(self, device: int) -> list[Wish]:
        return [self.wishes[t] for t, place in self.running.items() if place == device]

    def waiting(self, kind: str) -> list[Wish]:
        begun = {start.trial for start in self.started}
        return [w for i, w in enumerate(self.wishes) if w.kind == kind and i not in begun]


@given(grids(), st.data())
def test_every_trial_is_run_once_on_a_device_of_its_kind(grid, data):
    play = Play(grid, data.draw)
    for _ in play.moments():
        pass
    assert sorted(start.trial for start in play.started) == list(range(len(play.wishes)))
    assert all(play.wishes[s.trial].kind == play.kinds[s.device] for s in play.started)


@given(grids(), st.data())
def test_a_trial_that_wants_to_be_alone_is_and_others_keep_to_their_shares(grid, data):
    play = Play(grid, data.draw)
    for _ in play.moments():
        for device in range(len(play.kinds)):
            here = play.on(device)
            assert len(here) <= (1 if any(w.alone for w in here) else play.shares)


@given(grids(), st.data())
def test_no_device_is_idle_while_a_trial_of_its_kind_waits(grid, data):
    play = Play(grid, data.draw)
    for _ in play.moments():
        for device, kind in enumerate(play.kinds):
            assert play.on(device) or not play.waiting(kind)


@given(grids(), st.data())
def test_a_free_share_is_left_only_to_a_trial_that_waits_to_be_alone(grid, data):
    play = Play(grid, data.draw)
    for _ in play.moments():
        for device, kind in enumerate(play.kinds):
            here, waiting = play.on(device), play.waiting(kind)
            has_share = len(here) < play.shares and not any(w.alone for w in here)
            assert not (has_share and waiting) or waiting[0].alone


@given(grids(), st.data())
def test_trials_of_one_kind_start_in_the_order_of_the_plan(grid, data):
    play = Play(grid, data.draw)
    for _ in play.moments():
        pass
    for kind in set(play.kinds):
        order = [s.trial for s in play.started if play.wishes[s.trial].kind == kind]
        assert order == sorted(order)


def test_trials_spread_over_devices_before_they_share_one():
    schedule = Schedule(["cpu", "cpu"], [Wish("cpu", False)] * 3, shares=2)
    assert [start.device for start in schedule.starts()] == [0, 1, 0]
