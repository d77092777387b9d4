"""The schema of Every Eval Ever, as far as simko writes it, in our own words; and a checker for such schemas.

From `every_eval_ever/schemas/eval.schema.json` and `instance_level_eval.schema.json` 0.2.2 (github.com/evaleval/every_eval_ever,
commit 21b3d1a), with what 0.3.0 adds: paths of samples below `data/`, two details of a model, and one version for both files.
The schema file of 0.3.0 was not at hand; the additions are from the project's generated types and validator.
"""

from __future__ import annotations

import re
from typing import Any

UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
PATH = rf"data/[^/]+/[^/]+/[^/]+/{UUID4}_samples\.jsonl"
TEXT, NUMBER, WHOLE, YES_NO = {"type": str}, {"type": (int, float)}, {"type": int}, {"type": bool}
TEXTS = {"type": list, "items": TEXT}
DETAILS = {"type": dict, "values": TEXT}


def closed(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": dict, "required": required, "optional": optional or {}}


INTERVAL = closed({"lower": NUMBER, "upper": NUMBER}, {"confidence_level": NUMBER, "method": TEXT})
UNCERTAINTY = closed({}, {"confidence_interval": INTERVAL, "num_samples": WHOLE, "num_bootstrap_samples": WHOLE})
METRIC = closed(
    {"lower_is_better": YES_NO, "score_type": {"enum": ["continuous"]}, "min_score": NUMBER, "max_score": NUMBER},
    {
        "evaluation_description": TEXT, "metric_id": TEXT, "metric_name": TEXT, "metric_kind": TEXT, "metric_unit": TEXT,
        "metric_parameters": {"type": dict, "values": {"type": (str, int, float, bool, type(None))}},
    },
)  # fmt: skip
SOURCE = {
    "any": [
        closed({"dataset_name": TEXT, "source_type": {"enum": ["other"]}}, {"additional_details": DETAILS}),
        closed(
            {"dataset_name": TEXT, "source_type": {"enum": ["hf_dataset"]}, "hf_repo": TEXT},
            {"additional_details": DETAILS},
        ),
    ]
}
ARGUMENTS = closed({}, {"temperature": NUMBER, "top_p": NUMBER, "max_tokens": WHOLE})
RESULT = closed(
    {
        "evaluation_name": TEXT, "source_data": SOURCE, "metric_config": METRIC,
        "score_details": closed({"score": NUMBER}, {"uncertainty": UNCERTAINTY}),
    },
    {
        "evaluation_result_id": TEXT,
        "generation_config": closed({}, {"generation_args": ARGUMENTS, "additional_details": DETAILS}),
    },
)  # fmt: skip
MODEL_DETAILS = {
    **DETAILS,
    "holds": {
        "deployment_type": {"enum": ["self_deployed", "externally_managed", "unknown"]},
        "model_availability": {"enum": ["open_weights", "closed_weights", "unknown"]},
    },
}
AGGREGATE = closed(
    {
        "schema_version": {"enum": ["0.3.0"]}, "evaluation_id": TEXT, "retrieved_timestamp": TEXT,
        "source_metadata": closed(
            {
                "source_type": {"enum": ["documentation", "evaluation_run"]}, "source_organization_name": TEXT,
                "evaluator_relationship": {"enum": ["first_party", "third_party", "collaborative", "other"]},
            },
            {"source_name": TEXT, "additional_details": DETAILS},
        ),
        "eval_library": closed({"name": TEXT, "version": TEXT}),
        "model_info": closed({"name": TEXT, "id": TEXT, "additional_details": MODEL_DETAILS}),
        "evaluation_results": {"type": list, "items": RESULT},
        "detailed_evaluation_results": closed({
            "format": {"enum": ["jsonl"]}, "file_path": {"type": str, "pattern": PATH}, "hash_algorithm": {"enum": ["sha256"]},
            "checksum": {"type": str, "pattern": "[0-9a-f]{64}"}, "total_rows": WHOLE,
        }),
    }
)  # fmt: skip
ATTRIBUTION = closed(
    {"turn_idx": WHOLE, "source": TEXT, "extracted_value": TEXT, "extraction_method": TEXT, "is_terminal": YES_NO}
)
INSTANCE = closed(
    {
        "schema_version": {"enum": ["0.3.0"]}, "evaluation_id": TEXT, "model_id": TEXT, "evaluation_name": TEXT,
        "sample_id": TEXT, "interaction_type": {"enum": ["single_turn"]},
        "input": closed({"raw": TEXT, "reference": TEXTS}), "output": closed({"raw": TEXTS}),
        "answer_attribution": {"type": list, "items": ATTRIBUTION},
        "evaluation": closed({"score": NUMBER, "is_correct": YES_NO}),
    },
    {"evaluation_result_id": TEXT, "sample_hash": {"type": (str, type(None))}, "metadata": DETAILS},
)  # fmt: skip


def faults(value: Any, schema: dict[str, Any], at: str = "record") -> list[str]:
    """Where a value does not have the schema's form."""
    if "any" in schema:
        tries = [faults(value, one, at) for one in schema["any"]]
        return [] if [] in tries else tries[0]
    if "enum" in schema:
        return [] if value in schema["enum"] else [f"{at} is {value!r}"]
    kinds = schema["type"] if isinstance(schema["type"], tuple) else (schema["type"],)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        return [f"{at} is {value!r:.40}"]
    if isinstance(value, str):
        return [] if re.fullmatch(schema.get("pattern", "(?s:.*)"), value) else [f"{at} is {value!r}"]
    if isinstance(value, list):
        return [fault for i, item in enumerate(value) for fault in faults(item, schema["items"], f"{at}[{i}]")]
    return _faults_of_object(value, schema, at) if isinstance(value, dict) else []


def _faults_of_object(value: dict[str, Any], schema: dict[str, Any], at: str) -> list[str]:
    if "values" in schema:
        problems = [fault for key, item in value.items() for fault in faults(item, schema["values"], f"{at}.{key}")]
        return problems + [
            fault
            for key, one in schema.get("holds", {}).items()
            for fault in faults(value.get(key), one, f"{at}.{key}")
        ]
    known = {**schema["required"], **schema["optional"]}
    problems = [f"{at}.{key} is missing" for key in schema["required"] if key not in value]
    problems += [f"{at}.{key} is unknown" for key in value if key not in known]
    return problems + [
        fault for key, one in known.items() if key in value for fault in faults(value[key], one, f"{at}.{key}")
    ]
