"""Jobs on links that are slow but whole: nothing is lost, so nothing may be taken for lost."""

from __future__ import annotations

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("link", "model_name", "steps"),
    [
        pytest.param({"delay_secs": 0.2}, "lenet", 100, id="200 ms"),
        # A step moves 0.9 MB each way: seven seconds.
        pytest.param({"bytes_per_sec": 125_000}, "mobilenet_v1_025", 3, id="1 Mbit/s"),
    ],
)
def test_a_job_over_a_slow_link_goes_on_and_nothing_counts_as_lost(make_cluster, network, link, model_name, steps):
    cluster = make_cluster(
        f"--model_name={model_name}", "--train_image_size=32", f"--max_number_of_steps={steps}",
        "--startup_delay_steps=0", "--log_every_n_steps=1", "--task_timeout_secs=15",
        hosts=network, ps=1, chief=1, worker=1,
    )  # fmt: skip
    for task in ("ps 0", "chief 0", "worker 0"):
        network.slow_down(task, **link)
    cluster.start_all()
    assert cluster.exit_codes(timeout=400) == {"ps 0": 0, "chief 0": 0, "worker 0": 0}, cluster.logs()
    assert cluster.result()["global_step"] >= steps
    for task in ("ps 0", "chief 0", "worker 0"):
        assert not any(words in cluster.log(task) for words in ("has not answered", "Lost", "giving up")), (
            cluster.logs()
        )
