"""The loggers themselves: TensorBoard's files, and the modules of W&B and trackio. Each raises whatever goes wrong.

TensorBoard   scalars, a table of its text plugin, an image; written here, without TensorFlow
W&B, trackio  `log` of scalars, `Table` and `Image`

Text of a model is data in all of them. TensorBoard and trackio show text as Markdown, so it is written as what Markdown leaves
alone: a block of code, and entities. (trackio puts long cells into a page as they are.)
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from simko.files import append
from simko.run.logged import COLUMNS, Row

TABLE, CURVE = "completions", "pass_at_k"
_PLAIN = frozenset(" .,\n\t")


class EventFile:
    """TensorBoard's own format, written as it comes. There is no thread: every error is raised here."""

    def __init__(self, folder: Path, purge_step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns() // 1000:020d}.{os.getpid()}.simko"
        self._path = folder / name
        self._write(file_version="brain.Event:2")
        if purge_step:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._write(step=purge_step, session_log=start)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One step's values. Raises `OSError`."""
        scalars = [summary_pb2.Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(step=step, summary=summary_pb2.Summary(value=scalars))

    def table(self, step: int, rows: Sequence[Row]) -> None:
        """A table of the text plugin: a two-dimensional tensor of strings, whose cells are Markdown."""
        cells = [
            *COLUMNS,
            *(as_code(value) if isinstance(value, str) else f"{value:g}" for row in rows for value in row),
        ]
        sizes = (len(rows) + 1, len(COLUMNS))
        tensor = tensor_pb2.TensorProto(
            dtype=types_pb2.DT_STRING,
            tensor_shape=tensor_shape_pb2.TensorShapeProto(
                dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in sizes]
            ),
            string_val=[cell.encode() for cell in cells],
        )
        plugin = summary_pb2.SummaryMetadata.PluginData(plugin_name="text")
        about = summary_pb2.SummaryMetadata(plugin_data=plugin, data_class=summary_pb2.DATA_CLASS_TENSOR)
        value = summary_pb2.Summary.Value(tag=TABLE, metadata=about, tensor=tensor)
        self._write(step=step, summary=summary_pb2.Summary(value=[value]))

    def picture(self, step: int, png: Path) -> None:
        """The curve. Width and height stand in the header of a PNG."""
        data = png.read_bytes()
        width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
        image = summary_pb2.Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=data)
        self._write(step=step, summary=summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=CURVE, image=image)]))

    def close(self) -> None:
        """Nothing is kept back."""

    def _write(self, **content: Any) -> None:
        packed = io.BytesIO()
        RecordWriter(packed).write(event_pb2.Event(wall_time=time.time(), **content).SerializeToString())
        append(self._path, packed.getvalue(), durable=False)


class ModuleLogger:
    """W&B or trackio. W&B keeps its files in the run folder, unless WANDB_DIR names another place."""

    def __init__(self, module: Any, folder: Path, config: Mapping[str, Any]) -> None:
        self._module, self._is_wandb = module, module.__name__ == "wandb"
        place = {"dir": str(folder)} if self._is_wandb and not os.environ.get("WANDB_DIR") else {}
        module.init(project="simko", name=folder.name, config=dict(config), **place)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One step's values."""
        self._module.log(dict(values), step=step)

    def table(self, step: int, rows: Sequence[Row]) -> None:
        """The completions of a step. W&B shows the strings of a table as they are."""
        data = [
            [as_entities(value) if isinstance(value, str) and not self._is_wandb else value for value in row]
            for row in rows
        ]
        self._module.log({TABLE: self._module.Table(columns=list(COLUMNS), data=data)}, step=step)

    def picture(self, step: int, png: Path) -> None:
        """The curve."""
        self._module.log({CURVE: self._module.Image(str(png))}, step=step)

    def close(self) -> None:
        """Write out what is still buffered."""
        self._module.finish()


def as_code(text: str) -> str:
    """`text` as a block of code in Markdown: each line four blanks to the right, and nothing in it means anything."""
    return "\n".join("    " + line for line in text.split("\n"))


def as_entities(text: str) -> str:
    """`text` with its punctuation as HTML entities: a page and Markdown show it, and read no mark-up in it."""
    return "".join(c if c.isalnum() or c in _PLAIN or ord(c) > 127 else f"&#{ord(c)};" for c in text)
