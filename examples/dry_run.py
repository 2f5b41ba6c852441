"""Run a pipeline without touching any server: no request leaves, every step gets an answer.

    python dry_run.py IMAGE

Setting DRY_RUN_ENABLED=1 in the environment does the same to a program that is not changed at all.
"""

import logging
import os
import sys

from astrometry_client import Client

logging.basicConfig(level=logging.INFO, format="%(message)s")
os.environ["DRY_RUN_ENABLED"] = "1"

solution = Client().solve(sys.argv[1])
print(f"submission {solution.submission_id}, job {solution.job_id}: {solution.calibration}")
