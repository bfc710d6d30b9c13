"""Who may write to a training folder."""

import json
import threading

import pytest

from datasets.storage import path_of
from slim_train.checkpoints.find import latest_checkpoint, saved_checkpoints
from slim_train.errors import RunError
from slim_train.tf_compat import tf
from slim_train.training import lease
from slim_train.training.lease import HoldsLease, Lease, LeasedSaver


def test_the_chief_that_started_last_leads_and_the_one_before_is_told_who(tmp_path):
    before, now = Lease(tmp_path / "train", "chief"), Lease(tmp_path / "train", "chief")
    before.take()
    before.check()
    now.take()
    now.check()
    holder = json.loads((tmp_path / "train" / lease.FILE).read_text())
    with pytest.raises(RunError, match=rf"chief: another chief \(process {holder['process']} on .*has taken over"):
        before.check()


@pytest.mark.parametrize("content", [None, "", "[]", "{"])
def test_a_file_that_cannot_be_read_says_nothing(tmp_path, content):
    own = Lease(tmp_path, "chief")
    own.take()
    (tmp_path / lease.FILE).unlink()
    if content is not None:
        (tmp_path / lease.FILE).write_text(content)
    own.check()


def test_between_two_looks_some_seconds_pass(tmp_path):
    before = Lease(tmp_path, "chief")
    before.take()
    before.check()
    Lease(tmp_path, "chief").take()
    before.check_now_and_then()
    before._looked_at -= 60
    with pytest.raises(RunError, match="another chief"):
        before.check_now_and_then()


def test_a_look_at_a_url_that_is_not_answered_holds_up_no_step():
    pytest.importorskip("fsspec")
    own, asked, answers = Lease(path_of("memory://lease/silent"), "chief"), threading.Event(), threading.Event()
    own.take()

    class Silent(type(own._path)):
        def read_text(self, **kwargs):
            asked.set()
            assert answers.wait(20)
            return super().read_text(**kwargs)

    own._path = Silent(str(own._path))
    for _ in range(3):
        own.check_now_and_then()
    assert asked.wait(20)
    Lease(path_of("memory://lease/silent"), "chief").take()
    answers.set()
    own._looking.join()
    with pytest.raises(RunError, match="another chief"):
        own.check_now_and_then()


def test_a_chief_that_was_replaced_stops_before_later_hooks_see_the_step(tmp_path):
    own, seen = Lease(tmp_path, "chief"), []

    class Writes(tf.train.SessionRunHook):
        def after_run(self, run_context, run_values):
            seen.append("step")

        def end(self, session):
            seen.append("end")

    own.take()
    with tf.Graph().as_default():
        nothing = tf.no_op()
        creating = tf.train.MonitoredSession(hooks=[HoldsLease(own), Writes()])
    with pytest.raises(RunError, match="another chief"), creating as session:
        session.run(nothing)
        Lease(tmp_path, "chief").take()
        own._looked_at -= 60
        session.run(nothing)
    assert seen == ["step"]


@pytest.fixture
def saving():
    """A session, and a function that makes a saver of its variable."""
    with tf.Graph().as_default():
        step = tf.train.get_or_create_global_step()
        with tf.Session() as session:
            session.run(step.initializer)
            yield session, lambda own, keep=2: LeasedSaver(own, max_to_keep=keep, save_relative_paths=True)


def _names(prefixes):
    return [prefix.rpartition("/")[2] for prefix in prefixes]


@pytest.mark.parametrize(
    ("keep", "kept"),
    [(2, ["model.ckpt-2", "model.ckpt-3"]), (0, ["model.ckpt-1", "model.ckpt-2", "model.ckpt-3"])],
)
def test_the_chiefs_checkpoints_are_the_latest_and_old_ones_go(tmp_path, saving, keep, kept):
    session, saver_of = saving
    own = Lease(tmp_path, "chief")
    own.take()
    saver = saver_of(own, keep)
    for step in (1, 2, 3, 3):
        saved = saver.save(session, str(tmp_path / "model.ckpt"), global_step=step)
        assert tf.train.latest_checkpoint(str(tmp_path)) == saved
    assert _names(saved_checkpoints(tmp_path)) == kept
    state = (tmp_path / "checkpoint").read_text()
    assert str(tmp_path) not in state
    assert len(list(tmp_path.glob("*.meta"))) == len(kept)


def test_the_chiefs_checkpoints_at_a_url_are_the_latest(saving):
    session, saver_of = saving
    own = Lease(path_of("ram://lease/run"), "chief")
    own.take()
    saver = saver_of(own)
    for step in (1, 2):
        assert saver.save(session, "ram://lease/run/model.ckpt", global_step=step) is not None
        saver.finish()
        assert tf.train.latest_checkpoint("ram://lease/run") == f"ram://lease/run/model.ckpt-{step}"


def test_a_chief_that_was_replaced_uploads_no_checkpoint_and_ends(saving, caplog):
    pytest.importorskip("fsspec")
    session, saver_of = saving
    own = Lease(path_of("memory://lease/run"), "chief")
    own.take()
    saver = saver_of(own)
    saver.save(session, "memory://lease/run/model.ckpt", global_step=1)
    Lease(path_of("memory://lease/run"), "chief").take()
    saver.save(session, "memory://lease/run/model.ckpt", global_step=2)
    with pytest.raises(RunError, match="another chief"):
        saver.finish()
    assert saver.is_replaced
    assert saver.secs_at_end == 0
    saver.close()
    assert "could not be uploaded" not in caplog.text
    assert _names(saved_checkpoints("memory://lease/run")) == ["model.ckpt-1"]


def test_a_chief_that_was_replaced_writes_no_checkpoint(tmp_path, saving):
    session, saver_of = saving
    before, now = Lease(tmp_path, "chief"), Lease(tmp_path, "chief")
    before.take()
    saver_before, saver_now = saver_of(before), saver_of(now)
    saver_before.save(session, str(tmp_path / "model.ckpt"), global_step=1)
    now.take()
    saver_now.save(session, str(tmp_path / "model.ckpt"), global_step=7)
    with pytest.raises(RunError, match="another chief"):
        saver_before.save(session, str(tmp_path / "model.ckpt"), global_step=2)
    assert _names([latest_checkpoint(tmp_path)]) == ["model.ckpt-7"]
    assert not list(tmp_path.glob("model.ckpt-2*"))


def test_a_chief_that_is_replaced_while_it_writes_does_not_make_its_checkpoint_the_latest(tmp_path, saving):
    session, saver_of = saving
    before = Lease(tmp_path, "chief")
    before.take()
    saver = saver_of(before)
    saver.save(session, str(tmp_path / "model.ckpt"), global_step=5)

    class Sleeps(tf.Session):
        """A session in which a chief falls asleep while it writes."""

        def run(self, *args, **kwargs):
            Lease(tmp_path, "chief").take()
            return super().run(*args, **kwargs)

    with Sleeps() as asleep:
        super(Sleeps, asleep).run(tf.train.get_global_step().initializer)
        with pytest.raises(RunError, match="another chief"):
            saver.save(asleep, str(tmp_path / "model.ckpt"), global_step=2)
    assert _names([tf.train.latest_checkpoint(str(tmp_path))]) == ["model.ckpt-5"]
