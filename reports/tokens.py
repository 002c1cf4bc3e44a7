"""How much a record's model was trained on."""

from results.record import Record


def tokens_per_step(record: Record) -> int | None:
    """Of language, blocks of a batch times tokens of a block; else those of the first batch."""
    batch, language = record.settings_resolved.get("batch_size"), record.language
    if language is None:
        return record.cost.tokens_per_step if record.cost else None
    # The first token of a block is read and not predicted.
    return batch * (language.predictions_per_block + 1) if isinstance(batch, int) else None


def tokens_trained(record: Record) -> int | None:
    """In the steps that were made; of several runs, in the longest."""
    each = tokens_per_step(record)
    steps = _steps(record)
    return None if each is None or steps is None else each * steps


def _steps(record: Record) -> int | None:
    language = record.language
    if language is not None:
        runs = [language.losses] if language.losses else [run.losses for run in language.runs]
        return max(map(len, runs), default=0)
    # Records of classification keep some of the losses only, and do not say where one ended early.
    steps = record.settings_resolved.get("steps")
    return steps if isinstance(steps, int) and record.status == "completed" else None
