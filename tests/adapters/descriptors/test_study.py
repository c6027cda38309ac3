"""A study in which descriptors without a model choose."""

from __future__ import annotations

import pytest
from crossprune.harness.engine.loop import run
from crossprune.harness.engine.plan import Plan
from crossprune.harness.engine.pool import InProcess
from crossprune.harness.engine.study import Study
from crossprune.harness.store.objects import Store
