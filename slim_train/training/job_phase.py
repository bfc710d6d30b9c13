"""The phase of a job on parameter servers: preparing, training, ended."""

from __future__ import annotations

from typing import Any

from deployment.devices import DeploymentConfig
from slim_train.tf_compat import tf

PREPARING, TRAINING, ENDED = range(3)


class JobPhase:
    """A mark on the first parameter server: the variables are being prepared, trained, or the job has ended.

    It goes with the server's process, and is in no checkpoint.
    """

    def __init__(self, deployment: DeploymentConfig) -> None:
        with tf.device(f"{deployment.ps_device}/task:0/device:CPU:0"), tf.variable_scope("", caching_device=""):
            self.value = tf.get_variable(
                "job_phase", initializer=PREPARING, trainable=False, collections=[], use_resource=True
            )
        self.prepare = self.value.initializer
        self.train = self.value.assign(TRAINING).op
        self.end = self.value.assign(ENDED).op

    def missing(self) -> Any:
        """What a task still has to wait for before it may train, strings [N]. The mark is read after the variables."""
        uninitialized = tf.report_uninitialized_variables([*tf.global_variables(), self.value])
        with tf.control_dependencies([uninitialized]), tf.device(self.value.device):
            # A server that has just been started answers, too: an error is never an answer.
            is_open = tf.cond(
                self.value.is_initialized(),
                lambda: tf.equal(self.value.read_value(), TRAINING),
                lambda: tf.constant(False),
            )
        return tf.concat([uninitialized, tf.boolean_mask(["all values"], tf.reshape(~is_open, [1]))], 0)
