"""Part 4: where the time of one step at batch 16 goes.

- The step inside the compiled epoch, as training runs it, and the same as a program of its own for every step: the
  difference is what Python and its launches cost.
- A trace of the compiled epoch: how long the device was busy, so that the rest are gaps between kernels; the time by
  kind of layer, size of its feature map and way; how many kernels a step launches.
- The step without its parts: way forward and head alone, augmentation alone, optimizer alone, statistics of batch
  normalisation frozen or trained.
- Several folds as one program (`vmap`): what a step of all of them takes.

    python -m gpu_bundle.step --json FILE [--batch 16] [--folds 4] [--seconds 90] [--trace FILE]

The file is written after every measurement, in this order; what there was no time for is listed.
"""

import math
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import datspect  # noqa: F401 - first, since TensorFlow reads what the package sets while it is loaded

# isort: split
import jax
import keras
import numpy as np

from datspect.modeling.augmentation import Augment, no_change
from datspect.modeling.heads import initial_weights
from datspect.modeling.network import Network, network
from datspect.modeling.steps import Rows, TrainingBatches, adam, corrected_rate
from finetune import Bench, prepared
from gpu_bundle.programs import (
    busy_nanoseconds,
    counts_by_place,
    step_instructions,
    time_by_kernel,
    time_by_place,
    traced_events,
)
from measuring import benchmark_parser, machine, versions, write_result

N_STEPS, N_TIMES = 20, 5
N_KERNELS = 40
MOST_TRACE_BYTES = 15_000_000

Arguments = tuple[Any, ...]


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--folds", type=int, default=4, help="as one program")
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no measurement after so long")
    parser.add_argument("--trace", type=Path, help="copy of the trace, for TensorBoard or Perfetto, unless too large")
    arguments = parser.parse_args()
    began = time.monotonic()
    bench = prepared(arguments)
    step = Step(bench, arguments.batch, 2 if arguments.quick else N_STEPS, 1 if arguments.quick else N_TIMES)
    works: dict[str, Callable[[], dict[str, Any]]] = {
        "in_epoch": partial(step.in_epoch, arguments.trace),
        "by_itself": step.by_itself,
        "forward_and_head": step.forward_and_head,
        "augmentation": step.augmentation,
        "optimizer": step.optimizer,
        "other_batch_norm": step.other_batch_norm,
        "folds_as_one": partial(step.folds_as_one, arguments.folds),
    }
    result: dict[str, Any] = {"machine": machine(), "versions": versions(), "backend": keras.backend.backend()}
    result |= {"plan": _plan(bench), "batch": arguments.batch, "n_steps": step.n_steps, "not_measured": list(works)}
    for name, work in works.items():
        if time.monotonic() - began > arguments.seconds:
            print(f"not measured, for want of time: {', '.join(result['not_measured'])}")
            break
        result[name] = work()
        result["not_measured"] = result["not_measured"][1:]
        print(f"{name:<18} {result[name]['ms']:9.3f} ms a step", flush=True)
        write_result(arguments.json, result)


class Step:
    """One step of the first fold in bfloat16 on a GPU, else float32, on batches of its own images."""

    def __init__(self, bench: Bench, batch: int, n_steps: int, n_times: int) -> None:
        self._bench, self._batch = bench, batch
        self.n_steps, self._n_times = n_steps, n_times
        self._images = jax.numpy.asarray(bench.material.images)
        self._labels = bench.material.labels.astype(np.float32)

    def in_epoch(self, trace: Path | None) -> dict[str, Any]:
        """As training runs it, with the trace and what the compiled program consists of."""
        net, state = self._network(), self._state(self._network())
        arguments = (state, self._images, *self._batches(self.n_steps))
        began = time.perf_counter()
        program = jax.jit(partial(net.epoch, warming_up=False)).lower(*arguments).compile()
        compiled_in = time.perf_counter() - began
        milliseconds = self._timed(program, arguments) / self.n_steps
        layers = layers_of(net)
        instructions = step_instructions(program.as_text())
        found = {"ms": milliseconds, "compile_s": compiled_in, "n_instructions": len(instructions)}
        found |= {"instructions": counts_by_place(instructions, layers), "cost": _cost(program)}
        return found | self._traced(program, arguments, instructions, layers, trace)

    def by_itself(self) -> dict[str, Any]:
        """A program a step, called from Python one after another."""
        net = self._network()
        batches = self._batches(1)
        state = self._state(net)

        def several() -> Any:
            carried = state
            for _ in range(self.n_steps):
                carried, _ = net.epoch(carried, self._images, *batches, warming_up=False)
            return carried

        return {"ms": self._timed(several, ()) / self.n_steps}

    def forward_and_head(self) -> dict[str, Any]:
        """Augmentation, way forward through the backbone, and a step of the head alone."""
        net = self._network()
        state = net.with_new_optimizer(self._state(net), warming_up=True)
        program = partial(net.epoch, warming_up=True)
        return {"ms": self._timed(program, (state, self._images, *self._batches(self.n_steps))) / self.n_steps}

    def augmentation(self) -> dict[str, Any]:
        """Images taken out of those on the device, and augmented; a program by itself."""
        augment = Augment()
        program = jax.jit(lambda images, rows, parameters: augment(images[rows], parameters))
        augmentation, training, _ = self._batches(1)
        return {"ms": self._timed(program, (self._images, training.rows.index[0], augmentation[0]))}

    def optimizer(self) -> dict[str, Any]:
        """Adam on all weights of the backbone; a program by itself."""
        weights = self._state(self._network()).changing
        zeros = [jax.numpy.zeros_like(weight) for weight in weights]

        def update(weights: list[Any], first: list[Any], second: list[Any]) -> list[Any]:
            rate = corrected_rate(np.float32(1e-4), np.float32(1))
            return [adam(*tensors, rate) for tensors in zip(weights, first, second, weights, strict=True)]

        return {"ms": self._timed(jax.jit(update), (weights, zeros, zeros)), "n_tensors": len(weights)}

    def other_batch_norm(self) -> dict[str, Any]:
        """The step of the epoch with the statistics trained if they are frozen, and the other way round."""
        other = "trained" if self._bench.material.plan.batch_norm == "frozen" else "frozen"
        net = self._network(batch_norm=other)
        arguments = (self._state(net), self._images, *self._batches(self.n_steps))
        return {"ms": self._timed(partial(net.epoch, warming_up=False), arguments) / self.n_steps, "batch_norm": other}

    def folds_as_one(self, n_folds: int) -> dict[str, Any]:
        """The step of so many folds side by side in one program; `ms` is that of all of them together."""
        net = self._network()
        states = jax.tree.map(lambda tensor: jax.numpy.stack([tensor] * n_folds), self._state(net))
        batches = self._batches(self.n_steps)
        program = jax.jit(jax.vmap(partial(net.epoch, warming_up=False), in_axes=(0, *[None] * (1 + len(batches)))))
        milliseconds = self._timed(program, (states, self._images, *batches)) / self.n_steps
        return {"ms": milliseconds, "n_folds": n_folds, "ms_a_fold": milliseconds / n_folds}

    def _network(self, **changes: Any) -> Network:
        return network(replace(self._bench.material.plan, **changes), self._bench.head.width)

    def _state(self, net: Network) -> Any:
        head = initial_weights(self._bench.head, net.backbone.output_shape[-1])
        return net.initial_state(self._bench.material.backbone, head, warming_up=False)

    def _batches(self, n_steps: int) -> tuple[Any, TrainingBatches, Rows]:
        """The arguments of `Network.epoch` after the images: augmentation, batches, and validation on nobody."""
        shape = (n_steps, self._batch)
        index = np.resize(self._bench.head.train_rows, shape).astype(np.int32)
        augmentation = np.resize(no_change(1), (*shape, 4)).astype(np.float32)
        rows = Rows(index, self._labels[index], np.ones(shape, bool))
        keep = np.ones((*shape, self._bench.head.width), bool)
        nobody = Rows(*(array[:0] for array in rows))
        return augmentation, TrainingBatches(rows, keep, np.float32(1), np.float32(1e-5)), nobody

    def _timed(self, program: Callable[..., Any], arguments: Arguments) -> float:
        """Median milliseconds of a call, the first one not counted."""
        jax.block_until_ready(program(*arguments))
        times = []
        for _ in range(self._n_times):
            began = time.perf_counter()
            jax.block_until_ready(program(*arguments))
            times.append(time.perf_counter() - began)
        return 1e3 * statistics.median(times)

    def _traced(
        self, program: Any, arguments: Arguments, instructions: Any, layers: Mapping[str, Any], kept: Path | None
    ) -> dict[str, Any]:
        """Milliseconds a step that the device was busy, kernels a step, and the time by place, of one traced epoch."""
        with tempfile.TemporaryDirectory() as folder:
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0
            with jax.profiler.trace(folder, profiler_options=options):
                jax.block_until_ready(program(*arguments))
            (path,) = Path(folder).rglob("*.xplane.pb")
            events = traced_events(str(path))
            if kept and path.stat().st_size <= MOST_TRACE_BYTES:
                shutil.copyfile(path, kept)
        busy = busy_nanoseconds((event.start_ns, event.start_ns + event.duration_ns) for event in events)
        tables = {"time": time_by_place(events, instructions, layers), "kernels": time_by_kernel(events)[:N_KERNELS]}
        for row in (row for rows in tables.values() for row in rows):
            row.update(n=row["n"] / self.n_steps, ms=row["ms"] / self.n_steps)
        return {"busy_ms": busy / 1e6 / self.n_steps, "n_traced": len(events) / self.n_steps, **tables}


def layers_of(net: Network) -> dict[str, tuple[str, int | None]]:
    """Kind, and rows of the feature map that comes out, of each layer by name."""
    found: dict[str, tuple[str, int | None]] = {}
    for layer in net.backbone.layers:
        shape = getattr(getattr(layer, "output", None), "shape", ())
        found[layer.name] = (type(layer).__name__, int(shape[1]) if len(shape) == 4 else None)
    return found


def _cost(program: Any) -> dict[str, float] | None:
    """What the compiler counts of the whole program, a loop's body once."""
    costs = program.cost_analysis()
    costs = costs[0] if isinstance(costs, list) else costs
    return {name: costs[name] for name in ("flops", "bytes accessed") if name in costs} if costs else None


def _plan(bench: Bench) -> dict[str, Any]:
    plan = bench.material.plan
    names = ("architecture", "image_shape", "trainable", "batch_norm", "precision")
    return {name: getattr(plan, name) for name in names}


if __name__ == "__main__":
    main()
