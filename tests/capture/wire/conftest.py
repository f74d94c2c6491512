from __future__ import annotations

from hypothesis import settings

# A machine that is busy with other things is no failure.
settings.register_profile("without deadline")
settings.load_profile("without deadline")
