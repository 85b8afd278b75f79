"""The list of mutants is imported by its plain names, as the runner imports it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
