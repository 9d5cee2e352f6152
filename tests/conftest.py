"""What all tests share.

Machines are shared and slow at times, so no test fails by the clock of hypothesis. Folders of tests lie in memory where
there is room: a run syncs some hundred files, which on a disk takes longer than to compute them.
"""

import os
import shutil
import tempfile

from hypothesis import HealthCheck, settings

settings.register_profile("sima2", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sima2")

MEMORY = "/dev/shm"
ROOM_BYTES = 3e9
"""All tests together leave 0.4 GB in their folders; the rest is for what they work with."""

if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM_BYTES:
    os.environ["TMPDIR"] = MEMORY  # also for the processes that tests start
    tempfile.tempdir = None  # asked for already, before this file was read
