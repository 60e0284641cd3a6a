"""``python -m convkit.bench`` is ``convkit bench``."""

import sys

from .command import main

sys.exit(main(sys.argv[1:]))
