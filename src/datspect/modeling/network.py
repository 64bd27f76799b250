"""Train a backbone together with its head: one epoch is one compiled program, a function of the state.

The state holds everything that training changes, so that the same program trains every fold. docs/shapes.md explains
the arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from datspect.arrays import FloatArray
from datspect.errors import ParamsError
from datspect.modeling.augmentation import Augment
from datspect.modeling.backbone import LayerArrays, build_backbone, set_layer_arrays, weighted_layers
from datspect.modeling.compilation import compiled, value_and_gradient
from datspect.modeling.heads import HeadWeights
from datspect.modeling.precision import Precision, computing_in
from datspect.modeling.steps import (
    HeadTensors,
    Rows,
    Tensor,
    TrainingBatches,
    adam,
    corrected_rate,
    hidden_units,
    log_odds,
    loss_and_right,
)
from datspect.params.network import Architecture

FIRST_LOSS_SCALE, STEPS_TO_DOUBLE = 2.0**15, 2000.0
"""In float16 the loss is scaled, or small gradients would vanish; the numbers are Keras' own."""


class Optimizer(NamedTuple):
    """Adam's part of a `NetworkState`.

    n_steps, loss_scale, n_finite : float32, shape (); the steps done, the scale of the loss, and the finite steps
        since the scale last changed
    first, second : both moments of each weight that is trained, the head's four weights first
    """

    n_steps: Tensor
    loss_scale: Tensor
    n_finite: Tensor
    first: list[Tensor]
    second: list[Tensor]


class NetworkState(NamedTuple):
    """All that training changes of a backbone with a head.

    changing : the weights of the backbone that are trained
    fixed : its other weights, the statistics of batch normalisation included
    """

    head: HeadTensors
    changing: list[Tensor]
    fixed: list[Tensor]
    optimizer: Optimizer


@dataclass(frozen=True)
class NetworkPlan:
    """Say what is built, and what of it is trained.

    image_shape : rows, columns
    trainable : `all`, or the name of the lowest layer of the backbone that is trained
    batch_norm : whether training renews the statistics of batch normalisation
    """

    architecture: Architecture
    image_shape: tuple[int, int]
    trainable: str
    batch_norm: Literal["frozen", "trained"]
    precision: Precision


def trained_layers(backbone: keras.Model, trainable: str) -> list[keras.layers.Layer]:
    """Return the layers with weights from the one named `trainable` upwards, in layer order; `all` means all.

    Raises
    ------
    ParamsError : there is no layer of that name, or none above it holds weights.
    """
    names = [layer.name for layer in backbone.layers]
    if trainable != "all" and trainable not in names:
        known = ", ".join(name for name in names if name.startswith(("mixed", "block", "conv")))
        raise ParamsError(
            f"backbone.trainable = {trainable!r}: expected none, all or a layer of {backbone.name}, such as {known}"
        )
    above = names if trainable == "all" else names[names.index(trainable) :]
    layers = [layer for layer in weighted_layers(backbone) if layer.name in set(above)]
    if not layers:
        raise ParamsError(f"backbone.trainable = {trainable!r}: no layer from there upwards holds weights; choose none")
    return layers


class Network:
    """A backbone with a head of some width behind it, as functions of a `NetworkState`."""

    def __init__(self, plan: NetworkPlan, width: int) -> None:
        with computing_in(plan.precision):
            self.backbone = build_backbone(plan.architecture, plan.image_shape)
        self.layers = trained_layers(self.backbone, plan.trainable)
        self.backbone.trainable = True
        for layer in weighted_layers(self.backbone):
            layer.trainable = layer in self.layers
        self._plan = plan
        self._augment = Augment()
        self._learns_statistics = plan.batch_norm == "trained"
        n_features = self.backbone.output_shape[-1]
        self._head_shapes = HeadTensors((n_features, width), (width,), (width,), ())
        # Kept, since `compiled` knows a function that it compiled before by its identity.
        self._epochs = {warming_up: partial(self._epoch, warming_up=warming_up) for warming_up in (True, False)}

    @cached_property
    def exact(self) -> keras.Model:
        """Return the backbone in float32, as a saved model has it; `fitted` sets its weights."""
        return build_backbone(self._plan.architecture, self._plan.image_shape)

    def initial_state(self, arrays: LayerArrays, head: HeadWeights, *, warming_up: bool) -> NetworkState:
        """Return the state before the first epoch: a backbone with `arrays` and a head."""
        set_layer_arrays(self.backbone, arrays)
        parts = (head.kernel, head.bias, head.output_kernel, np.float32(head.output_bias))
        variables = (self.backbone.trainable_variables, self.backbone.non_trainable_variables)
        changing, fixed = ([ops.convert_to_tensor(ops.convert_to_numpy(v)) for v in values] for values in variables)
        weights = HeadTensors(*(ops.convert_to_tensor(part) for part in parts))
        return NetworkState(weights, changing, fixed, self._new_optimizer(warming_up=warming_up))

    def with_new_optimizer(self, state: NetworkState, *, warming_up: bool) -> NetworkState:
        """Return the state with an optimizer that has taken no step."""
        return state._replace(optimizer=self._new_optimizer(warming_up=warming_up))

    def _new_optimizer(self, *, warming_up: bool) -> Optimizer:
        trained = [] if warming_up else [variable.shape for variable in self.backbone.trainable_variables]
        first, second = ([ops.zeros(shape, "float32") for shape in (*self._head_shapes, *trained)] for _ in range(2))
        scale = FIRST_LOSS_SCALE if self._plan.precision == "float16" else 1.0
        n_steps, loss_scale, n_finite = (ops.convert_to_tensor(np.float32(number)) for number in (0, scale, 0))
        return Optimizer(n_steps, loss_scale, n_finite, first, second)

    def epoch(
        self,
        state: NetworkState,
        images: Tensor,
        augmentation: Tensor,
        training: TrainingBatches,
        validation: Rows,
        *,
        warming_up: bool,
    ) -> tuple[NetworkState, Tensor]:
        """Train for an epoch, then validate on images as they are.

        Parameters
        ----------
        images : float32, shape (N, rows, columns, 3), in [0, 1]
        augmentation : float32, shape (S, B, 4), as from `augmentation_parameters`
        training : S steps of B rows
        validation : arrays of shape (Q, B), Q batches
        warming_up : whether the head alone is trained

        Returns
        -------
        The new state and, shape (4,), sums of loss and of right answers, in training and in validation.
        """
        run = compiled(self._epochs[warming_up], convolutions=True)
        new_state, sums = run(state, images, augmentation, training, validation)
        return new_state, sums

    def fitted(self, state: NetworkState) -> tuple[HeadWeights, dict[str, list[FloatArray]]]:
        """Return the head, and by name the arrays of the layers that are trained; give `exact` all the weights."""
        kernel, bias, output_kernel, output_bias = (ops.convert_to_numpy(part) for part in state.head)
        variables = (*self.backbone.trainable_variables, *self.backbone.non_trainable_variables)
        tensors = (*state.changing, *state.fixed)
        values = {id(v): ops.convert_to_numpy(tensor) for v, tensor in zip(variables, tensors, strict=True)}
        by_layer = [(layer, [values[id(v)] for v in layer.weights]) for layer in weighted_layers(self.backbone)]
        set_layer_arrays(self.exact, [(layer.name, arrays) for layer, arrays in by_layer])
        changed = {layer.name: arrays for layer, arrays in by_layer if layer in self.layers}
        return HeadWeights(kernel, bias, output_kernel, float(output_bias)), changed

    def _epoch(
        self, state: NetworkState, images: Tensor, augmentation: Tensor, training: TrainingBatches, validation: Rows, *,
        warming_up: bool,
    ) -> tuple[NetworkState, Tensor]:  # fmt: skip
        def step(s: Tensor, carried: tuple[NetworkState, Tensor]) -> tuple[NetworkState, Tensor]:
            before, sums = carried
            rows, factor = training.of_step(s)
            batch = self._augment(ops.take(images, rows.index, axis=0), augmentation[s])
            after, found = self._step(before, batch, rows, factor, training.rate, warming_up=warming_up)
            return after, sums + found

        def validate(v: Tensor, sums: Tensor) -> Tensor:
            rows = Rows(*(array[v] for array in validation))
            batch = ops.take(images, rows.index, axis=0)
            features, _ = self.backbone.stateless_call(state.changing, state.fixed, batch, training=False)
            return sums + ops.stack(loss_and_right(log_odds(state.head, hidden_units(state.head, features)), rows))

        zeros = ops.zeros(2, "float32")
        state, training_sums = ops.fori_loop(0, training.rows.index.shape[0], step, (state, zeros))
        n_batches = validation.index.shape[0]
        validation_sums = ops.fori_loop(0, n_batches, validate, zeros) if n_batches else zeros
        return state, ops.concatenate([training_sums, validation_sums])

    def _step(
        self, state: NetworkState, batch: Tensor, rows: Rows, factor: Tensor, rate: Tensor, *, warming_up: bool
    ) -> tuple[NetworkState, Tensor]:
        """Take one step of Adam on the mean loss over the real rows.

        Parameters
        ----------
        batch : shape (B, rows, columns, 3), augmented images
        factor : shape (B, D), dropout's, on each hidden unit

        Returns
        -------
        The new state and, shape (2,), sums of loss and of right answers.
        """
        n_steps, loss_scale, n_finite, first, second = state.optimizer

        def loss_of(variables: list[Tensor]) -> tuple[Tensor, tuple[Tensor, list[Tensor]]]:
            head, changing = HeadTensors(*variables[:4]), state.changing if warming_up else variables[4:]
            features, fixed = self.backbone.stateless_call(
                changing, state.fixed, batch, training=self._learns_statistics
            )
            loss_sum, right = loss_and_right(log_odds(head, hidden_units(head, features) * factor), rows)
            loss = loss_scale * loss_sum / ops.sum(ops.cast(rows.real, "float32"))
            return loss, (ops.stack([loss_sum, right]), list(fixed) if self._learns_statistics else state.fixed)

        variables = [*state.head] if warming_up else [*state.head, *state.changing]
        (_, (found, fixed)), gradients = value_and_gradient(loss_of)(variables)
        before = (variables, first, second)
        after = compiled(_stepped)(*before, list(gradients), corrected_rate(rate, n_steps + 1), loss_scale)
        counters = (n_steps + 1, loss_scale, n_finite)
        if self._plan.precision == "float16":
            finite = ops.all(ops.stack([ops.all(ops.isfinite(gradient)) for gradient in gradients]))
            after = tuple(_chosen(finite, new, old) for new, old in zip(after, before, strict=True))
            fixed = _chosen(finite, fixed, state.fixed)
            counters = _next_counters(finite, n_steps, loss_scale, n_finite)
        variables, first, second = after
        changing = state.changing if warming_up else variables[4:]
        return NetworkState(HeadTensors(*variables[:4]), changing, fixed, Optimizer(*counters, first, second)), found


@lru_cache(maxsize=4)
def network(plan: NetworkPlan, width: int) -> Network:
    """Return the network of a plan, the same object each time, so that a process compiles its programs once."""
    return Network(plan, width)


def as_arrays(state: NetworkState) -> list[NDArray[Any]]:
    """Return all tensors of a state in order."""
    return [ops.convert_to_numpy(tensor) for tensor in keras.tree.flatten(state)]


def as_state(arrays: Sequence[NDArray[Any]], like: NetworkState) -> NetworkState:
    """Return a state from its arrays; `like` has as many tensors of the same shapes."""
    state: NetworkState = keras.tree.pack_sequence_as(like, [ops.convert_to_tensor(array) for array in arrays])
    return state


def _stepped(
    variables: list[Tensor],
    first: list[Tensor],
    second: list[Tensor],
    gradients: list[Tensor],
    rate: Tensor,
    loss_scale: Tensor,
) -> tuple[list[Tensor], ...]:
    """Return all weights and both moments a step further.

    Compiled by itself: fused, it goes over memory once and not a dozen times.
    """
    scaled = [gradient / loss_scale for gradient in gradients]
    stepped = [adam(*tensors, rate) for tensors in zip(variables, first, second, scaled, strict=True)]
    return tuple(list(tensors) for tensors in zip(*stepped, strict=True))


def _chosen(condition: Tensor, if_true: Sequence[Tensor], if_false: Sequence[Tensor]) -> list[Tensor]:
    return [ops.where(condition, a, b) for a, b in zip(if_true, if_false, strict=True)]


def _next_counters(finite: Tensor, n_steps: Tensor, loss_scale: Tensor, n_finite: Tensor) -> tuple[Tensor, ...]:
    """Return the counters after a step in float16.

    A step whose gradients overflow is left out and halves the scale; `STEPS_TO_DOUBLE` finite steps double it.
    """
    n_finite = ops.where(finite, n_finite + 1, 0.0)
    doubled = n_finite >= STEPS_TO_DOUBLE
    new_scale = ops.where(finite, ops.where(doubled, loss_scale * 2, loss_scale), loss_scale / 2)
    return ops.where(finite, n_steps + 1, n_steps), new_scale, ops.where(doubled, 0.0, n_finite)
