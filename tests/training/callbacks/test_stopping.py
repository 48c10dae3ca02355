"""Early stopping of runs that an earlier version began."""

from lightcars.training.callbacks.stopping import ResumableEarlyStopping


def test_states_of_earlier_versions_are_found():
    callback = ResumableEarlyStopping("val_loss", patience=15)
    assert callback.state_key == "StopsEarly{'monitor': 'val_loss', 'mode': 'min'}"
