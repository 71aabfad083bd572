"""The house rules that a reader relies on, kept by the code itself."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import pneumo_tasks
from pneumo_tasks import errors

PACKAGE = Path(pneumo_tasks.__file__).parent
FLOORS = [
    *("ground", "intake", "dataset", "training", "evaluation", "promotion", "monitoring"),
    *("pipeline", "doors"),
]
STANDS = {"cli": "doors", "commands": "doors", "local": "doors", "recipe_comparison": "doors"}
STANDS |= {"stage_results": "pipeline"}
MODULES = sorted(PACKAGE.rglob("*.py"))
PROJECT = PACKAGE.parent
CALLERS = [file for room in ("pneumo_tasks", "plugins", "dags", "benchmarks")
           for file in sorted((PROJECT / room).rglob("*.py"))]  # fmt: skip
# What the pipeline calls, and nobody else outside of the room that it belongs to.
STAGES = {
    "intake": {"discover_batches", "validate_batch"},
    "dataset": {"assemble_dataset", "compute_class_balance"},
    "training": {"extract_features", "train_head", "fine_tune", "export_candidate"},
    "evaluation": {"evaluate_candidate", "score_unseen", "score_later"},
    "monitoring": {"gather_evidence"},
    "promotion": {"decide_promotion", "record_nothing_new", "write_report", "settle", "close_ended"},
}


def floor(parts: list[str]) -> int:
    """Where a module stands: 0 is the ground floor, the doors are above everything."""
    if not parts:
        return 0
    if parts[0] in STANDS:
        return FLOORS.index(STANDS[parts[0]])
    return FLOORS.index(parts[0]) if parts[0] in FLOORS else 0


def imported(module: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nobody_imports_upwards(module: Path) -> None:
    own = floor(list(module.relative_to(PACKAGE).with_suffix("").parts))
    for name in imported(module):
        if name.startswith("pneumo_tasks."):
            assert floor(name.split(".")[1:]) <= own, f"{module.name} imports {name} from a floor above"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_product_knows_nothing_of_airflow(module: Path) -> None:
    assert not any(name.split(".")[0] == "airflow" for name in imported(module))


@pytest.mark.parametrize("module", CALLERS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_the_pipeline_is_the_only_caller_of_the_stages(module: Path) -> None:
    if module == PACKAGE / "pipeline.py":
        return
    room = module.relative_to(PACKAGE).parts[0] if module.is_relative_to(PACKAGE) else ""
    others = set().union(*(functions for name, functions in STAGES.items() if name != room))
    called = {name.rsplit(".", 1)[-1] for name in imported(module) if name.startswith("pneumo_tasks.")}
    assert not called & others, f"{module.name} calls {called & others} past pneumo_tasks/pipeline.py"


def test_the_pipeline_calls_every_stage() -> None:
    called = {name.rsplit(".", 1)[-1] for name in imported(PACKAGE / "pipeline.py")}
    assert set().union(*STAGES.values()) <= called


def rooms_entered(house: str) -> dict[str, set[str]]:
    """For each room of a package: the other rooms of it that its modules import from."""
    entered: dict[str, set[str]] = {}
    for module in (PACKAGE / house).rglob("*.py"):
        own = module.parent.relative_to(PACKAGE).as_posix()
        # A name is a module, or something that a module holds.
        names = imported(module) | {name.rpartition(".")[0] for name in imported(module)}
        files = [
            PROJECT / f"{name.replace('.', '/')}.py" for name in names if name.startswith("pneumo_tasks.")
        ]
        rooms = {
            file.parent.relative_to(PACKAGE).as_posix()
            for file in files
            if file.is_file() and file.is_relative_to(PACKAGE / house)
        }
        entered.setdefault(own, set()).update(rooms - {own})
    return entered


@pytest.mark.parametrize("house", ["intake", "evaluation", "training", "promotion", "commands"])
def test_the_rooms_of_a_package_stand_in_one_direction(house: str) -> None:
    entered = rooms_entered(house)
    assert any(entered.values()), "no room imports from another: the test saw nothing"
    while entered:
        ground = {room for room, others in entered.items() if not others & entered.keys()}
        assert ground, f"these rooms import each other in a circle: {entered}"
        entered = {room: others for room, others in entered.items() if room not in ground}


def test_no_room_is_crowded() -> None:
    rooms = {module.parent for module in MODULES}
    crowded = {
        str(room): count
        for room in rooms
        if (count := sum(1 for file in room.glob("*.py") if file.name != "__init__.py")) > 25
    }
    assert crowded == {}


@pytest.mark.parametrize("dag", sorted((PROJECT / "dags").glob("*.py")), ids=lambda path: path.stem)
def test_no_task_has_the_name_of_a_function_that_it_imports(dag: Path) -> None:
    tree = ast.parse(dag.read_text())
    tasks = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert tasks.isdisjoint(name.rsplit(".", 1)[-1] for name in imported(dag))


def test_no_code_asks_which_of_the_two_heads_a_recipe_has() -> None:
    asking = [module.name for module in CALLERS if re.search(r"\bcross_fitted\b", module.read_text())]
    assert asking == []


def test_the_locked_test_rows_are_opened_by_the_evaluation_alone() -> None:
    readers = {
        module.relative_to(PACKAGE).as_posix()
        for module in MODULES
        if any(name.endswith("snapshots.test_rows") for name in imported(module))
        or "test.parquet" in module.read_text()
    }
    assert {path for path in readers if not path.startswith("evaluation/")} == {"dataset/snapshots.py"}


def test_only_the_room_that_moves_the_champion_moves_the_pointer() -> None:
    movers = {
        module.parent.relative_to(PROJECT).as_posix()
        for module in CALLERS
        if any(
            name.endswith(("pointer.move_pointer", "pointer.try_move_pointer")) for name in imported(module)
        )
    }
    assert movers == {"pneumo_tasks/promotion/moving"}


def test_only_the_object_store_talks_to_s3() -> None:
    users = {m.parent.name for m in MODULES if {"boto3", "botocore"} & {n.split(".")[0] for n in imported(m)}}
    assert users == {"storage"}


def test_every_error_is_final_or_retryable_documented_and_in_the_tree() -> None:
    kinds = [
        kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__
    ]
    assert len(kinds) > 8
    for kind in kinds:
        assert kind.__doc__, kind
        assert kind.__name__ in (errors.__doc__ or ""), f"{kind.__name__} is not drawn in the tree"
        if kind not in (errors.PneumoError, errors.FinalError, errors.RetryableError):
            assert issubclass(kind, errors.FinalError) != issubclass(kind, errors.RetryableError)


def test_a_module_stays_a_size_one_can_read() -> None:
    long = {m.name: len(m.read_text().splitlines()) for m in MODULES if len(m.read_text().splitlines()) > 300}
    assert long == {}


def test_the_constraints_name_versions_and_nothing_else() -> None:
    lines = (PACKAGE.parent / "constraints.txt").read_text().split()
    assert len(lines) > 200
    assert all(line.count("==") == 1 and "/" not in line for line in lines)
    celery = next(line for line in lines if line.startswith("celery=="))
    assert celery < "celery==5.7", "celery 5.7 breaks Airflow's provider"


# Functions that are longer, or take more, than a reader can hold; each for the reason that stands beside it.
LARGE = {
    "approval_task": "what Airflow's operator is told, name by name",
    "plan": "the options of a command are its parameters",
    "upload_batch": "what a sender may state about a batch, each with a default",
    "_verdict": "it fills one document",
    "airflow_environment": "one table",
    "_ellipse": "the numbers that an ellipse has",
    "measure_precision": "one network, asked twice",
    "_step": "one step of a formula, with its arrays",
}


def functions(kind: type[ast.AST]) -> list[tuple[Path, ast.FunctionDef]]:
    ours = [module for module in CALLERS if module.relative_to(PROJECT).parts[0] != "benchmarks"]
    trees = [(module, ast.parse(module.read_text())) for module in ours]
    return [(module, node) for module, tree in trees for node in ast.walk(tree) if isinstance(node, kind)]


def test_a_function_fits_on_a_screen_and_takes_six_parameters_at_most() -> None:
    large = set()
    for _, function in functions(ast.FunctionDef):
        given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > 50 or len([one for one in given if one.arg not in ("self", "cls")]) > 6:
            large.add(function.name)
    assert large == set(LARGE)


def test_no_property_or_constructor_talks_to_the_store() -> None:
    for module, function in functions(ast.FunctionDef):
        names = {ast.unparse(decorator) for decorator in function.decorator_list}
        if names & {"property", "cached_property"} or function.name in ("__init__", "__post_init__"):
            asked = [ast.unparse(call.func) for call in ast.walk(function) if isinstance(call, ast.Call)]
            assert not [name for name in asked if "store." in name or "client." in name], (
                module,
                function.name,
            )


def test_each_class_has_a_name_of_its_own() -> None:
    names = [node.name for _, node in functions(ast.ClassDef)]
    assert len(names) == len(set(names)), [name for name in set(names) if names.count(name) > 1]
