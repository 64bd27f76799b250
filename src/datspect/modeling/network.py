"""The network of a fold as functions of its state: one epoch of training, as one compiled program for all folds.

The state holds everything that training changes, so that the same program trains every fold: a tuple of lists of
tensors, (head, changing, fixed, optimizer). `changing` are the weights of the backbone that are trained, `fixed` its
other ones, statistics of batch normalisation included.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from datspect.arrays import FloatArray
from datspect.errors import ParamsError
from datspect.modeling.adam import adam, corrected_rate
from datspect.modeling.augmentation import Augment
from datspect.modeling.backbone import LayerArrays, build_backbone, set_layer_arrays, weighted_layers
from datspect.modeling.compilation import compiled, value_and_gradient
from datspect.modeling.heads import HeadWeights
from datspect.modeling.precision import Precision, computing_in
from datspect.params.network import Architecture

FIRST_LOSS_SCALE, STEPS_TO_DOUBLE = 2.0**15, 2000.0
"""In float16 the loss is scaled, or small gradients would vanish; the numbers are Keras' own."""

State = tuple[list[Any], list[Any], list[Any], list[Any]]


@dataclass(frozen=True)
class NetworkPlan:
    """What is built, and what of it is trained.

    image_shape : rows, columns
    trainable : `all`, or the name of the layer from which upwards the backbone is trained
    batch_norm : whether its statistics are learnt anew
    """

    architecture: Architecture
    image_shape: tuple[int, int]
    trainable: str
    batch_norm: Literal["frozen", "trained"]
    precision: Precision


def trained_layers(backbone: keras.Model, trainable: str) -> list[keras.layers.Layer]:
    """The layers with weights from the one named `trainable` upwards, in layer order; `all` for all.

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
    """A backbone with a head of some width behind it, as functions of a `State`.

    The optimizer's part of the state: steps done, scale of the loss and finite steps since it changed, then both
    moments of each weight that is trained.
    """

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
        self._head_shapes = ((n_features, width), (width,), (width,), (1,))

    @cached_property
    def exact(self) -> keras.Model:
        """The backbone in float32, as a saved model has it; its weights are set by whoever uses it."""
        return build_backbone(self._plan.architecture, self._plan.image_shape)

    def initial_state(self, arrays: LayerArrays, head: HeadWeights, *, warming_up: bool) -> State:
        """Before the first epoch: a backbone with `arrays` and a head."""
        set_layer_arrays(self.backbone, arrays)
        parts = (head.kernel, head.bias, head.output_kernel, np.array([head.output_bias], np.float32))
        variables = (self.backbone.trainable_variables, self.backbone.non_trainable_variables)
        changing, fixed = ([_tensor(ops.convert_to_numpy(v)) for v in values] for values in variables)
        state: State = ([_tensor(part) for part in parts], changing, fixed, [])
        return self.with_new_optimizer(state, warming_up=warming_up)

    def with_new_optimizer(self, state: State, *, warming_up: bool) -> State:
        """The state with an optimizer that has taken no step."""
        trained = [] if warming_up else [variable.shape for variable in self.backbone.trainable_variables]
        moments = [np.zeros(shape, np.float32) for shape in (*self._head_shapes, *trained) for _ in range(2)]
        scale = FIRST_LOSS_SCALE if self._plan.precision == "float16" else 1.0
        counters = [np.float32(0), np.float32(scale), np.float32(0)]
        return (*state[:3], [_tensor(array) for array in (*counters, *moments)])

    def epoch(self, state: State, *arguments: Any, warming_up: bool) -> tuple[State, Any]:
        """Train for an epoch and validate.

        The arguments, NumPy or tensors, S steps of B rows and V batches of validation:

        images : shape (N, H, W, 3), in [0, 1]
        rows, targets, real : shape (S, B), indices into `images`, 0 or 1, and whether the row counts
        parameters : shape (S, B, 4), of the augmentation
        keep : shape (S, B, width), the units that dropout keeps; `kept_scale`: what these are multiplied by
        rate : the learning rate
        val_rows, val_targets, val_real : shape (V, B)

        Gives the new state and, shape (4,), sums of loss and of right answers, training and validation.
        """
        run = compiled(self._warm_epoch if warming_up else self._full_epoch, convolutions=True)
        new_state, sums = run(state, *arguments)
        return new_state, sums

    def fitted(self, state: State) -> tuple[HeadWeights, dict[str, list[FloatArray]]]:
        """The head, and by name the arrays of the layers that are trained; `exact` gets all the weights."""
        kernel, bias, output_kernel, output_bias = (ops.convert_to_numpy(part) for part in state[0])
        variables = (*self.backbone.trainable_variables, *self.backbone.non_trainable_variables)
        values = {id(v): ops.convert_to_numpy(t) for v, t in zip(variables, (*state[1], *state[2]), strict=True)}
        by_layer = [(layer, [values[id(v)] for v in layer.weights]) for layer in weighted_layers(self.backbone)]
        set_layer_arrays(self.exact, [(layer.name, arrays) for layer, arrays in by_layer])
        changed = {layer.name: arrays for layer, arrays in by_layer if layer in self.layers}
        return HeadWeights(kernel, bias, output_kernel, float(output_bias[0])), changed

    @cached_property
    def _warm_epoch(self) -> Any:
        return lambda *arguments: self._epoch(*arguments, warming_up=True)

    @cached_property
    def _full_epoch(self) -> Any:
        return lambda *arguments: self._epoch(*arguments, warming_up=False)

    def _epoch(
        self, state: Any, images: Any, rows: Any, targets: Any, real: Any, parameters: Any, keep: Any, kept_scale: Any,
        rate: Any, val_rows: Any, val_targets: Any, val_real: Any, *, warming_up: bool,
    ) -> Any:  # fmt: skip
        count = ops.cast(real, "float32")

        def step(s: Any, carried: Any) -> Any:
            *state, sums = carried
            batch = self._augment(ops.take(images, rows[s], axis=0), parameters[s])
            scale = ops.cast(keep[s], "float32") * kept_scale
            new_state, found = self._step(state, batch, targets[s], count[s], scale, rate, warming_up)
            return (*new_state, sums + found)

        def validate(v: Any, carried: Any) -> Any:
            *state, sums = carried
            features = self._features(state[1], state[2], ops.take(images, val_rows[v], axis=0))
            found = _loss_and_right(_scores(state[0], features, 1.0), val_targets[v], ops.cast(val_real[v], "float32"))
            return (*state, sums + ops.stack(found))

        *state, training = ops.fori_loop(0, rows.shape[0], step, (*state, ops.zeros(2, "float32")))
        validation = ops.zeros(2, "float32")
        if val_rows.shape[0]:
            *state, validation = ops.fori_loop(0, val_rows.shape[0], validate, (*state, validation))
        return tuple(state), ops.concatenate([training, validation])

    def _step(self, state: Any, batch: Any, targets: Any, count: Any, scale: Any, rate: Any, warming_up: bool) -> Any:
        """One step of Adam on the mean loss over the rows that count."""
        head, changing, fixed, optimizer = state
        n_steps, loss_scale, n_finite, *moments = optimizer

        def loss_of(variables: Any) -> Any:
            of_backbone = changing if warming_up else variables[4:]
            features, new_fixed = self._training_features(of_backbone, fixed, batch)
            loss_sum, right = _loss_and_right(_scores(variables[:4], features, scale), targets, count)
            return loss_scale * loss_sum / ops.sum(count), (ops.stack([loss_sum, right]), new_fixed)

        variables = head if warming_up else [*head, *changing]
        (_, (found, new_fixed)), gradients = value_and_gradient(loss_of)(variables)
        new_variables, new_moments = compiled(_stepped)(
            list(variables), moments, list(gradients), corrected_rate(rate, n_steps + 1), loss_scale
        )
        counters = [n_steps + 1, loss_scale, n_finite]
        if self._plan.precision == "float16":
            finite = ops.all(ops.stack([ops.all(ops.isfinite(gradient)) for gradient in gradients]))
            new_variables = _chosen(finite, new_variables, variables)
            new_moments = _chosen(finite, new_moments, moments)
            new_fixed = _chosen(finite, new_fixed, fixed)
            counters = _next_counters(finite, n_steps, loss_scale, n_finite)
        new_changing = changing if warming_up else new_variables[4:]
        return (new_variables[:4], new_changing, list(new_fixed), [*counters, *new_moments]), found

    def _training_features(self, changing: Any, fixed: Any, images: Any) -> Any:
        features, new_fixed = self.backbone.stateless_call(changing, fixed, images, training=self._learns_statistics)
        return features, new_fixed if self._learns_statistics else fixed

    def _features(self, changing: Any, fixed: Any, images: Any) -> Any:
        return self.backbone.stateless_call(changing, fixed, images, training=False)[0]


@lru_cache(maxsize=4)
def network(plan: NetworkPlan, width: int) -> Network:
    """The network of a plan; the same one again, so that its programs are compiled once a process."""
    return Network(plan, width)


def as_arrays(state: State) -> list[NDArray[Any]]:
    """All tensors of a state in order."""
    return [ops.convert_to_numpy(tensor) for part in state for tensor in part]


def as_state(arrays: Sequence[NDArray[Any]], like: State) -> State:
    """A state from its arrays; `like` has as many tensors of the same kind."""
    tensors = iter([_tensor(array) for array in arrays])
    head, changing, fixed, moments = ([next(tensors) for _ in part] for part in like)
    return head, changing, fixed, moments


def _stepped(
    variables: list[Any], moments: list[Any], gradients: list[Any], rate: Any, loss_scale: Any
) -> tuple[list[Any], list[Any]]:
    """All weights a step further. Compiled by itself: fused, it goes over memory once and not a dozen times."""
    scaled = [gradient / loss_scale for gradient in gradients]
    stepped = [adam(*tensors, rate) for tensors in zip(variables, moments[::2], moments[1::2], scaled, strict=True)]
    return [weight for weight, _, _ in stepped], [moment for _, *both in stepped for moment in both]


def _chosen(condition: Any, if_true: Sequence[Any], if_false: Sequence[Any]) -> list[Any]:
    return [ops.where(condition, a, b) for a, b in zip(if_true, if_false, strict=True)]


def _next_counters(finite: Any, n_steps: Any, loss_scale: Any, n_finite: Any) -> list[Any]:
    """Of float16: a step whose gradients overflow is left out and halves the scale; many without one double it."""
    n_finite = ops.where(finite, n_finite + 1, 0.0)
    doubled = n_finite >= STEPS_TO_DOUBLE
    new_scale = ops.where(finite, ops.where(doubled, loss_scale * 2, loss_scale), loss_scale / 2)
    return [ops.where(finite, n_steps + 1, n_steps), new_scale, ops.where(doubled, 0.0, n_finite)]


def _scores(head: Any, features: Any, scale: Any) -> Any:
    """Log odds, shape (B,)."""
    kernel, bias, output_kernel, output_bias = head
    hidden = ops.relu(ops.matmul(features, kernel) + bias) * scale
    return ops.sum(hidden * output_kernel, axis=1) + output_bias[0]


def _loss_and_right(scores: Any, targets: Any, count: Any) -> tuple[Any, Any]:
    """Sums over the rows that count: binary cross-entropy, and right answers at 0.5."""
    losses = ops.relu(scores) - scores * targets + ops.log1p(ops.exp(-ops.abs(scores)))
    right = ops.cast(ops.equal(scores > 0, targets > 0.5), "float32")
    return ops.sum(losses * count), ops.sum(right * count)


def _tensor(array: Any) -> Any:
    return ops.convert_to_tensor(array)
