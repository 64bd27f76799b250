"""A made-up program text in the form in which XLA prints compiled ones."""

from benchmarks.gpu_bundle.programs import (
    Event,
    Instruction,
    Place,
    busy_nanoseconds,
    counts_by_place,
    place_of,
    step_instructions,
    time_by_kernel,
    time_by_place,
)

PROGRAM = """\
HloModule jit_f, entry_computation_layout={(f32[4])->f32[4]}

%fused (param_0: f32[4]) -> f32[4] {
  %param_0 = f32[4]{0} parameter(0)
  ROOT %add.1 = f32[4]{0} add(%param_0, %param_0), metadata={op_name="jit(f)/while/body/jvp(bn_1)/add"}
}

%graph (p: f32[4]) -> f32[4] {
  %p = f32[4]{0} parameter(0)
  ROOT %cudnn.7 = (f32[4]{0}, u8[0]{0}) custom-call(%p), metadata={op_name="jit(f)/body/transpose(jvp(conv_1))/conv"}
}

%body (arg: (s32[], f32[4])) -> (s32[], f32[4]) {
  %arg = (s32[], /*index=1*/f32[4]{0}) parameter(0)
  %x = f32[4]{0} get-tuple-element(%arg), index=1
  %fusion.3 = f32[4]{0} fusion(%x), kind=kLoop, calls=%fused, metadata={op_name="jit(f)/while/body/jvp(bn_1)/add"}
  %call.1 = f32[4]{0} call(%fusion.3), to_apply=%graph
  %mul.2 = f32[4]{0} multiply(%call.1, %x), metadata={op_name="jit(f)/while/body/jit(_stepped)/mul"}
  ROOT %out = (s32[], f32[4]{0}) tuple(%x, %mul.2)
}

%condition (arg: (s32[], f32[4])) -> pred[] {
  ROOT %less = pred[] compare(%arg, %arg), direction=LT
}

ENTRY %main (a: f32[4]) -> f32[4] {
  %a = f32[4]{0} parameter(0)
  %while.1 = (s32[], f32[4]{0}) while(%a), condition=%condition, body=%body
  ROOT %r = f32[4]{0} get-tuple-element(%while.1), index=1
}
"""
EVENTS = [
    Event("fusion.3", "add", 0.0, 1e6),
    Event("fusion.3", "add", 5e6, 1e6),
    Event("cudnn.7", "conv", 1e6, 3e6),
    Event("while.1", "loop", 0.0, 9e6),
    Event("", "in_a_graph", 8e6, 5e5),
]
LAYERS = {"bn_1": ("BatchNormalization", 5), "conv_1": ("Conv2D", 5)}


def test_a_step_is_the_body_of_the_loop_with_fusions_as_one_and_called_graphs_opened() -> None:
    found = step_instructions(PROGRAM)
    assert [(each.name, each.opcode) for each in found] == [
        ("fusion.3", "fusion"), ("cudnn.7", "custom-call"), ("mul.2", "multiply"),
    ]  # fmt: skip


def test_a_program_without_a_loop_has_no_step() -> None:
    assert step_instructions(PROGRAM.replace("while(", "negate(")) == []


def test_instructions_belong_to_layers_forward_and_back_or_to_parts_of_the_step() -> None:
    places = [place_of(each.op_name, LAYERS) for each in step_instructions(PROGRAM)]
    assert places == [Place("bn_1", "forward"), Place("conv_1", "back"), Place("optimizer", "update")]
    assert place_of("jit(f)/while/body/augment/mul", LAYERS) == Place("augmentation", "forward")
    assert place_of("", LAYERS) == Place("other", "forward")


def test_time_is_summed_by_kind_size_of_map_and_way_most_first() -> None:
    found = time_by_place(EVENTS, step_instructions(PROGRAM), LAYERS)
    assert found == [
        {"kind": "Conv2D", "map_rows": 5, "way": "back", "n": 1, "ms": 3.0},
        {"kind": "BatchNormalization", "map_rows": 5, "way": "forward", "n": 2, "ms": 2.0},
        {"kind": "unknown", "map_rows": None, "way": "", "n": 1, "ms": 0.5},
    ]
    assert [(row["kernel"], row["n"], row["ms"]) for row in time_by_kernel(EVENTS)] == [
        ("loop", 1, 9.0), ("conv", 1, 3.0), ("add", 2, 2.0), ("in_a_graph", 1, 0.5),
    ]  # fmt: skip
    assert sum(row["n"] for row in counts_by_place(step_instructions(PROGRAM), LAYERS)) == 3


def test_a_device_is_busy_while_anything_runs() -> None:
    assert busy_nanoseconds([(0, 4), (2, 3), (3, 6), (10, 11)]) == 7
    assert busy_nanoseconds([]) == 0


def test_an_instruction_without_metadata_counts_as_other() -> None:
    (row,) = counts_by_place([Instruction("copy.1", "copy", "")], LAYERS)
    assert row == {"kind": "other", "map_rows": None, "way": "forward", "n": 1}
