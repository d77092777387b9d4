"""A study: arms, seeds and sizes of a comparison, or of a sweep, as a YAML file or as flags.

common: {env: simko/Countdown-v0, model: tiny, steps: 80}    settings of `simko train` that all arms share
seeds: [0, 1, 2]                                             or their number
arms:
  grpo: {algorithm: grpo}
  simko: {algorithm: simko, alpha: 0.5}
  nsr: {algorithm: nsr, grid: {learning_rate: [0.0005, 0.001]}}      `grid` is for `simko sweep` alone
eval_samples: 256                                            and the other settings of `Sizes`
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from itertools import product
from json import dumps
from typing import Any

from simko.config import UNSTORED, read_yaml
from simko.errors import UserError, nearest
from simko.fields import checked, setting

BASE = "base"
RESERVED = ("seed", "out", "eval_problems", "eval_samples", "eval_temperature", "eval_top_p")
"""Settings of a run that the comparison itself decides."""
_ARM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}")
_MOST_SEEDS = 1000


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How a comparison evaluates.

    Raises:
        UserError: a value of another type or out of bounds.
    """

    eval_problems: int = setting(128, "final held-out problems, the same for all arms and seeds", minimum=1)
    eval_samples: int = setting(256, "samples a final problem", minimum=2)
    eval_temperature: float = setting(1.0, "of the final evaluations", above=0.0)
    eval_top_p: float = setting(1.0, "of all evaluations", above=0.0, maximum=1.0)
    tuning_problems: int = setting(48, "tuning problems, on which temperature and prompt are chosen", minimum=1)
    tuning_samples: int = setting(64, "samples a tuning problem", minimum=2)
    problem_seed: int = setting(0, "which held-out problems", minimum=0, maximum=2**64 - 1)
    temperatures: str = setting(
        "0.6,0.8,1.0,1.2", "each arm is evaluated at the best of these, too; one value: it is not", names=True
    )
    templates: str = setting(
        "chat,plain,qwen,simple,llama,qwen3_no_thinking",
        "the base model is evaluated at the best of these prompts, too; one: it is not",
        names=True,
    )

    def __post_init__(self) -> None:
        for name, value in checked(type(self), vars(self), "config").items():
            object.__setattr__(self, name, value)
        self.grid  # noqa: B018  # raises

    @property
    def grid(self) -> list[float]:
        """The temperatures; raises `UserError` for one that is not a number above 0."""
        try:
            values = [float(text) for text in self.temperatures.split(",")]
        except ValueError:
            values = [0.0]
        if not all(0 < value < 100 for value in values):
            raise UserError(
                f"config: temperatures is '{self.temperatures}'; it must be numbers above 0 with commas between, as 0.6,1.0"
            )
        return values


@dataclass(frozen=True)
class Study:
    """What is asked for. Of an arm with a `grid`, each setting of the grid is a candidate.

    Attributes:
        common: settings of `simko train` that all arms share, flat.
        arms: settings of each arm over the common ones.
        grids: for each arm of a sweep, the values of each setting.
        seeds: training seeds, in the order in which they are run. The choices on tuning problems are made at the first.
        random_control: whether an arm with random rewards is added; None where nobody has said.
        tuned: what a sweep wrote about itself: its name, and the hash of its grid.
    """

    common: Mapping[str, Any] = field(default_factory=dict)
    arms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    grids: Mapping[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    sizes: Mapping[str, Any] = field(default_factory=dict)
    random_control: bool | None = None
    tuned: Mapping[str, str] | None = None


def read_study(path: str, typed: bool = False) -> Study:
    """The study in a file. Raises `UserError` that names the file and the key.

    What a person has to type (`UNSTORED`) is refused: a file must choose no interpreter, and no sandbox. With `typed` it is left
    out in silence, as from a plan.yaml of an older version.
    """
    content = read_yaml(path)
    keys = ["common", "arms", "seeds", "random_control", "tuned", *(entry.name for entry in fields(Sizes))]
    for key in content:
        if key not in keys:
            mend = nearest(key, keys) or "; put settings of the runs under common"
            raise UserError(f"config {path}: unknown key '{key}'{mend}")
    try:
        common = flat(_mapping(content.get("common"), "common"), "common")
        arms, grids = {}, {}
        for name, given in _mapping(content.get("arms"), "arms").items():
            arm = dict(_mapping(given, f"arms: {name}"))
            if "grid" in arm:
                grids[arm_name(name)] = _grid(name, arm.pop("grid"))
            arms[arm_name(name)] = flat(arm, name)
        sizes = {
            key: _joined(value) for key, value in content.items() if key in {entry.name for entry in fields(Sizes)}
        }
        Sizes(**sizes)
        if typed:
            common, arms = _storable(common), {name: _storable(arm) for name, arm in arms.items()}
        elif typed_only := next(
            (key for key in UNSTORED for part in (common, *arms.values(), *grids.values()) if key in part), None
        ):
            raise UserError(f"{typed_only} is taken from no file; give --{typed_only.replace('_', '-')} yourself")
        control = content.get("random_control")
        if not isinstance(control, bool | None):
            raise UserError(f"random_control is {control!r}; it must be true or false")
        tuned = content.get("tuned")
        if tuned is not None:
            tuned = {str(key): str(value) for key, value in _mapping(tuned, "tuned").items()}
        return Study(common, arms, grids, seeds_of(content.get("seeds", [])), sizes, control, tuned)
    except UserError as error:
        raise UserError(f"config {path}: {str(error).removeprefix('config: ')}") from error


def content_of(study: Study) -> dict[str, Any]:
    """The study as the content of a file, which `read_study` reads back. What a person has to type is left out."""
    arms = {
        name: {
            **_storable(arm),
            **({"grid": {k: list(v) for k, v in study.grids[name].items()}} if name in study.grids else {}),
        }
        for name, arm in study.arms.items()
    }
    content: dict[str, Any] = {
        "common": _storable(study.common),
        "seeds": list(study.seeds),
        "arms": arms,
        **study.sizes,
    }
    if study.random_control is not None:
        content["random_control"] = study.random_control
    return content | ({} if study.tuned is None else {"tuned": dict(study.tuned)})


def joined(below: Study, above: Study) -> Study:
    """Both studies as one: where both say something, it is what `above` says; arms and seeds are added."""
    return Study(
        {**below.common, **above.common},
        {**below.arms, **above.arms},
        {**below.grids, **above.grids},
        tuple(dict.fromkeys([*below.seeds, *above.seeds])),
        {**below.sizes, **above.sizes},
        below.random_control if above.random_control is None else above.random_control,
        above.tuned or below.tuned,
    )


def candidates(study: Study) -> dict[str, dict[str, dict[str, Any]]]:
    """For each arm of a sweep its candidates by name, `ARM-1` and so on in the order of the product of its grid.

    Raises:
        UserError: the arms have different numbers of candidates, so some would be tuned with more effort.
    """
    every: dict[str, dict[str, dict[str, Any]]] = {}
    for name, arm in study.arms.items():
        grid = study.grids.get(name, {})
        chosen = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
        every[name] = {f"{name}-{i}": {**arm, **values} for i, values in enumerate(chosen, start=1)}
    if len({len(of_arm) for of_arm in every.values()}) > 1:
        counts = ", ".join(f"{name} {len(of_arm)}" for name, of_arm in every.items())
        raise UserError(
            f"sweep: the arms have different numbers of settings to try ({counts}); equal effort asks for as many of each: "
            "make the grids equally large"
        )
    names = [name for of_arm in every.values() for name in of_arm]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"sweep: two candidates are called {twice[0]}; give one of their arms another name")
    return every


def grid_hash(study: Study) -> str:
    """A hash of all that a sweep tries: common settings, arms and grids, in the order of the file."""
    arms = {name: _storable(arm) for name, arm in study.arms.items()}
    content = [_storable(study.common), arms, study.grids, list(study.seeds), asdict(Sizes(**study.sizes))]
    return sha256(dumps(content, default=dict).encode()).hexdigest()[:16]


def seeds_of(given: object) -> tuple[int, ...]:
    """`5`, `"5"`, `[0, 1, 2]` or `"0,1,2"` as seeds; raises `UserError` for anything else."""
    if isinstance(given, str):
        given = [part.strip() for part in given.split(",")] if "," in given else given.strip()
    if isinstance(given, str | int) and not isinstance(given, bool) and str(given).isdecimal():
        given = list(range(int(given))) if 0 < int(given) <= _MOST_SEEDS else None
    if isinstance(given, list) and all(str(seed).isdecimal() and not isinstance(seed, bool) for seed in given):
        seeds = tuple(int(seed) for seed in given)
        if len(set(seeds)) == len(seeds) and all(seed < 2**64 for seed in seeds):
            return seeds
    raise UserError("config: seeds is wrong; give a number of seeds, as 5, or different seeds, as 0,1,2")


def arm_name(name: object) -> str:
    """The name of an arm, which is also the name of its folder; raises `UserError` for one that cannot be."""
    if not isinstance(name, str) or not _ARM_NAME.fullmatch(name) or name.split(",")[0] == BASE:
        raise UserError(
            f"config: an arm is called {str(name)[:80]!r}; use letters, digits and . _ + - (but '{BASE}' is "
            "the model before training)"
        )
    return name


def flat(settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The settings with those under `method` beside the others; raises `UserError` for one that the comparison decides."""
    method = _mapping(settings.get("method"), f"{where}: method")
    for key in (*settings, *method):
        if not isinstance(key, str) or key in RESERVED or key == "grid":
            raise UserError(
                f"config: {where} has {key!r}, which is decided for the whole comparison; leave it out there"
            )
    return {**{key: value for key, value in settings.items() if key != "method"}, **method}


def _storable(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in UNSTORED}


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UserError(f"config: {where} is {str(value)[:80]!r}; it must be a mapping, as {{key: value}}")
    return value


def _grid(name: object, grid: Any) -> dict[str, list[Any]]:
    values = _mapping(grid, f"arms: {name}: grid")
    for key, choices in values.items():
        if not isinstance(choices, list) or not choices:
            raise UserError(f"config: arms: {name}: grid: {key} is {str(choices)[:80]!r}; it must be a list, as [1, 2]")
    return flat(values, f"arms: {name}: grid")


def _joined(value: Any) -> Any:
    return ",".join(map(str, value)) if isinstance(value, list) else value
