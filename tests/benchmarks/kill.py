"""Kill trainings at random moments, many times, and see that each ends in the same bits as one that
was left alone.

python tests/benchmarks/kill.py [KILLS]
"""

import random
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))

from multimix.data.films import load_films

if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with tempfile.TemporaryDirectory() as folder:
        films = load_films("phantom://40", "phantom://40", 32, progress=False)
        trainings = kills(films, Path(folder), wanted, random.Random())
    print(
        f"{wanted} or more kills in {trainings} trainings: weights, logs and best checkpoints "
        "equal, nothing lost"
    )
