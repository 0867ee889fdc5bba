"""Kill trainings at random moments, many times; each has to end in the bits of an unbroken one.

python tests/benchmarks/kill.py [KILLS]
"""

import random
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from killing import kills

from multimix.data.films import load_films

if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with tempfile.TemporaryDirectory() as folder:
        films = load_films(side=32, progress=False)
        trainings = kills(films, Path(folder), wanted, random.Random())
    print(
        f"{wanted} or more kills in {trainings} trainings: weights, logs and best checkpoints "
        "equal, nothing lost"
    )
