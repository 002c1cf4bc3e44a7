"""Where the tasks of this family find text, each with what its tokens need."""

import dataclasses

from tasks.api import LoadRequest
from tasks.data.text_hub import HUB
from tasks.data.text_packaged import ADDRESSES
from tasks.data.text_release import RELEASE
from tasks.data.tokenizers import why_tokens_are_missing
from tasks.language import TextSource


def _with_tokens(source: TextSource) -> TextSource:
    def missing(request: LoadRequest) -> str | None:
        return why_tokens_are_missing(request) or source.missing(request)

    return dataclasses.replace(source, missing=missing)


SOURCES = tuple(map(_with_tokens, (HUB, ADDRESSES, RELEASE)))
