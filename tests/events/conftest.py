"""Here `codec` is also the encoding of frames, whose groups are too wide for the language model of other tests."""

import pytest

from lstmusic.events import codec as codecs

OPTIONS = {
    "canonical": ("chorale", {"strikes": False}),
    "flat": ("metrical", {"grouped": False}),
    "pedals": ("performance", {"pedals": True}),
}


@pytest.fixture(params=["chorale", "canonical", "frames", "melody", "metrical", "flat", "performance", "pedals"])
def codec(request):
    """Every encoding in turn."""
    name, options = OPTIONS.get(request.param, (request.param, {}))
    return codecs.build(name, **options)
