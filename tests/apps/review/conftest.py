"""The tests of the review page use the made-up issues of the tests of curation."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "curation"))
