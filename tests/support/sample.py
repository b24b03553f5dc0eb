"""A pytest plug-in that runs a random sample of the selected tests, as many as fit into a time budget.

The order comes from `--sample-seed`; what has not started when `--sample-budget-s` is used up is skipped and
counted as such, so that the closing line says how much of the selection was seen.
"""

from __future__ import annotations

import random
import time

import pytest

_started = time.monotonic()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sample")
    group.addoption("--sample-seed", default="0", help="any text; the same text gives the same order")
    group.addoption("--sample-budget-s", type=float, default=float("inf"), help="seconds for all tests")


def pytest_report_header(config: pytest.Config) -> str:
    return f"sample: seed {config.getoption('sample_seed')}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.nodeid)
    random.Random(config.getoption("sample_seed")).shuffle(items)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if time.monotonic() - _started > item.config.getoption("sample_budget_s"):
        pytest.skip("the time budget of the sample is used up")
