"""What the fuzzing campaign counts of libFuzzer's lines."""

from __future__ import annotations

from campaigns.fuzzing.figures import Progress, Slice


def test_a_new_edge_is_dated_by_the_cpu_time_of_all_runs() -> None:
    """A target that was run before goes on counting, and edges that it had are not new."""
    progress = Progress(executions=100, cpu_seconds=50.0, edges=10, features=20, last_edge_cpu=5.0)
    watched = Slice(progress)
    watched.line("#20\tINITED cov: 10 ft: 19 corp: 3/1Kb exec/s: 0 rss: 54Mb", 1.0)
    watched.line("#4096\tNEW    cov: 11 ft: 21 corp: 4/1Kb lim: 4 exec/s: 0 rss: 57Mb", 2.0)
    watched.line("#8192\tpulse  cov: 11 ft: 22 corp: 4/1Kb lim: 4 exec/s: 0 rss: 57Mb", 3.0)
    watched.line("stat::number_of_executed_units: 9000", 4.0)
    progress.cpu_seconds += 4.0
    assert (progress.executions, progress.edges, progress.features) == (9100, 11, 22)
    assert progress.since_last_edge == 2.0
    assert Progress.of(progress.to_json()) == progress
