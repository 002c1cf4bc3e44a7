"""Probes for machines: one row a number with its coordinates, and a row for every gap."""

import json
from collections.abc import Iterator
from dataclasses import replace

from reports.columns import Contender
from reports.probes import Probes, Setting
from reports.tidy import Tidy


def probe_values(probes: Probes, *, gaps: bool = True) -> Iterator[Tidy]:
    """Every reading; one without a value has its reason in its place. `gaps`: also the trials
    without any."""
    for group in probes.groups:
        for reading in group.readings:
            row = _row(group.setting, reading.contender, reading.quantity, "completed")
            yield replace(
                row,
                unit=reading.unit,
                value=reading.value,
                low=reading.low,
                high=reading.high,
                seeds=" ".join(map(str, reading.seeds)),
                reason=reading.reason,
                where=json.dumps(reading.where, sort_keys=True, separators=(",", ":")),
                predicted=reading.predicted,
                samples=reading.samples,
                how=reading.how,
            )
    for gap in probes.gaps if gaps else ():
        row = _row(gap.setting, gap.contender, "points", gap.status)
        yield replace(row, reason=gap.reason)


def _row(setting: Setting, contender: Contender, quantity: str, status: str) -> Tidy:
    return Tidy(
        task=setting.task,
        task_version=setting.task_version,
        preset=setting.preset,
        source=setting.source,
        title="",
        stand_in=False,
        digest=" ".join(text for _, text in setting.measured_on),
        settings=setting.settings,
        dtype=setting.dtype,
        device=setting.device,
        compile=False,
        method=contender.method,
        options=contender.options,
        role=contender.role,
        quantity=quantity,
        unit="1",
        value=None,
        status=status,
    )
