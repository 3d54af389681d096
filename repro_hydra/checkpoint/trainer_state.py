"""What a Lightning Trainer has in hand between two steps, and its own checkpoints leave out.

Seen with Lightning 2.6.6: sums of metrics that are logged for the epoch, the metrics that callbacks read, states of
torchmetrics that are not persistent, modes, gradients not yet applied, and the module's own plain attributes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch

from repro_hydra.checkpoint.errors import CheckpointError
from repro_hydra.checkpoint.objects import beside_the_weights, put_beside
from repro_hydra.checkpoint.plain import from_plain, to_plain
from repro_hydra.checkpoint.values import Keeper

_NOT_PUT_BACK = (
    "hyper_parameters",
    "datamodule_hyper_parameters",
    "hparams_name",
    "hparams_type",
    "datamodule_hparams_name",
)
"""Of Lightning's checkpoint: what `load_from_checkpoint` reads, and a Trainer that goes on does not."""
_META = (
    "fx", "name", "prog_bar", "logger", "on_step", "on_epoch", "enable_graph", "add_dataloader_idx", "dataloader_idx",
    "metric_attribute",
)  # fmt: skip
_VALUES = ("value", "cumulated_batch_size", "_forward_cache", "_update_count", "_computed")
_READ_LATER = ("_callback_metrics", "_logged_metrics")
_WITHIN_EPOCH = ("_first_loop_iter", "_current_fx")
"""By these Lightning tells whether a sum begins anew."""


class TrainerState:
    """Of one Trainer and its module.

    Parameters
    ----------
    own : set of str
        The attributes that every LightningModule has.
    lost : callable
        Told the name and the class of an attribute that goes on by itself.

    Raises
    ------
    CheckpointError
        This Lightning has not what is looked at here.
    """

    def __init__(
        self, trainer: Any, module: Any, own: set[str], gradients: bool, lost: Callable[[str, str], None]
    ) -> None:
        self._trainer = trainer
        self._module = module
        self._own = own
        self._gradients = gradients
        self._keeper = Keeper([module], gradients, lost)
        self._keeper.home = type(module).__module__.partition(".")[0]
        try:
            self._sums, self._metrics = trainer.fit_loop.epoch_loop._results, trainer._logger_connector
            self._to_lightning = trainer._checkpoint_connector.dump_checkpoint
            _ = (
                trainer.strategy.reduce,
                [getattr(self._metrics, name) for name in (*_READ_LATER, *_WITHIN_EPOCH)],
            )
        except AttributeError as error:
            raise CheckpointError(
                f"a Trainer of this version of Lightning cannot be resumed exactly: it has no {error.name}. "
                "Lightning 2.6 is known to work"
            ) from None
        for _, value in self._attributes():
            self._keeper.remember_large(value)

    # ------------------------------------------------------------------ taking

    def take(self, *, epoch_begins: bool) -> dict[str, Any]:
        """Everything as plain data, Lightning's own checkpoint within it.

        Raises
        ------
        NotPlain
            Something of it is no plain data; its path is in the message.
        """
        whole = {key: value for key, value in self._to_lightning().items() if key not in _NOT_PUT_BACK}
        lightning = to_plain(whole, "the Trainer's checkpoint")
        if epoch_begins:
            _as_between_epochs(lightning["loops"]["fit_loop"])
        self._keeper.begin()
        taken = {
            "lightning": lightning,
            "beside": beside_the_weights(self._module, self._gradients),
            "attributes": [
                (name, node)
                for name, value in self._attributes()
                if (node := self._keeper.take(value, f"self.{name}")) is not None
            ],
            "torchmetrics": {
                name: to_plain(_state_of(metric), f"self.{name}") for name, metric in self._torchmetrics()
            },
            "read_later": {name: to_plain(dict(getattr(self._metrics, name)), name) for name in _READ_LATER},
            "sums": {},
            "within_epoch": {},
        }
        if not epoch_begins:
            taken["within_epoch"] = {name: getattr(self._metrics, name) for name in _WITHIN_EPOCH}
            taken["sums"] = {key: self._sum(each) for key, each in self._sums.items() if not each.has_reset}
        return taken

    def _attributes(self) -> Iterator[tuple[str, Any]]:
        for name, value in vars(self._module).items():
            if name not in self._own and not name.startswith(("_hparams", "_log_hyperparams")):
                yield name, value

    def _torchmetrics(self) -> Iterator[tuple[str, Any]]:
        torchmetrics = sys.modules.get("torchmetrics")
        for name, part in self._module.named_modules() if torchmetrics is not None else ():
            if isinstance(part, torchmetrics.Metric):  # type: ignore[union-attr]
                yield name, part

    # ------------------------------------------------------------------ putting back

    def put(self, taken: dict[str, Any]) -> None:
        """Give back what Lightning's own checkpoint did not hold; the rest it has put back by itself.

        Raises
        ------
        CheckpointError
            It is of another module.
        """
        put_beside(self._module, taken["beside"])
        for name, node in taken["attributes"]:
            setattr(self._module, name, self._keeper.put(getattr(self._module, name, None), node))
        metrics = dict(self._torchmetrics())
        if set(metrics) != set(taken["torchmetrics"]):
            raise CheckpointError(
                f"expected a checkpoint of a module with the metrics {sorted(metrics)}, "
                f"found one with {sorted(taken['torchmetrics'])}"
            )
        for name, state in taken["torchmetrics"].items():
            for key, value in from_plain(state).items():
                setattr(metrics[name], key, _moved(value, metrics[name].device))
        device = self._trainer.strategy.root_device
        for name, values in taken["read_later"].items():
            getattr(self._metrics, name).update(_moved(from_plain(values), device))
        for name, value in taken["within_epoch"].items():
            setattr(self._metrics, name, value)
        for key, each in taken["sums"].items():
            self._put_sum(key, each)

    def _sum(self, each: Any) -> dict[str, Any]:
        """A metric that is summed up over the epoch; the function that reduces it is one of torch's, by its name."""
        meta = {name: getattr(each.meta, name) for name in _META}
        return {
            "meta": meta | {"reduce_fx": each.meta.reduce_fx.__name__},
            "sync": each.meta.sync.should,
            "is_tensor": each.is_tensor,
            "values": {
                name: getattr(each, name) for name in _VALUES if each.is_tensor and hasattr(each, name)
            },
        }

    def _put_sum(self, key: str, taken: dict[str, Any]) -> None:
        """Make Lightning's object for it anew; `self.log` then finds it, and adds to it."""
        library = sys.modules[type(self._sums).__module__]
        meta = library._Metadata(**taken["meta"])
        meta.sync = library._Sync(_should=taken["sync"], fn=self._trainer.strategy.reduce)
        each = library._ResultMetric(meta, taken["is_tensor"])
        device = self._trainer.strategy.root_device
        if taken["is_tensor"]:
            for name, value in taken["values"].items():
                setattr(each, name, value.to(device) if isinstance(value, torch.Tensor) else value)
        elif meta.metric_attribute is None:
            return  # it is found again when it is logged again
        else:
            each.value = self._module.get_submodule(meta.metric_attribute)
        self._sums[key] = each


def _moved(value: Any, device: torch.device) -> Any:
    """What a checkpoint holds is on the CPU; a metric adds to it where its module computes."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, list):
        return [_moved(each, device) for each in value]
    if isinstance(value, dict):
        return {key: _moved(each, device) for key, each in value.items()}
    return value


def _state_of(metric: Any) -> dict[str, Any]:
    return {name: getattr(metric, name) for name in metric._defaults} | {
        "_update_count": metric._update_count
    }


def _as_between_epochs(loops: dict[str, Any]) -> None:
    """What Lightning's counters were before it announced the epoch that begins: it announces it once more.

    And nothing of the epoch before counts as done in the new one.
    """
    for progress in loops["epoch_progress"].values():
        progress["ready"] = progress["started"]
    batches = loops["epoch_loop.batch_progress"]
    batches["current"] = dict.fromkeys(batches["current"], 0)
    batches["is_last_batch"] = False
