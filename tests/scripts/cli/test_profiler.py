import pytest
from lightning.pytorch.profilers import SimpleProfiler

from litzoo.scripts.cli.default_callbacks import NoProfiler
from tests.scripts.helpers import short_fit


def test_nothing_is_profiled_unless_asked_for():
    assert isinstance(short_fit().trainer.profiler, NoProfiler)


def test_profiler_asked_for_is_used():
    profiler = short_fit("--trainer.profiler=simple").trainer.profiler
    assert isinstance(profiler, SimpleProfiler)
    assert len(profiler.recorded_durations["run_training_batch"]) == 2


def test_errors_pass_through_the_empty_context():
    with pytest.raises(KeyError, match="inside"), NoProfiler().profile("anything"):
        raise KeyError("inside")
