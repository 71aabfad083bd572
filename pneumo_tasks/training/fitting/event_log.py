"""The event log: the epochs of a run as TensorBoard reads them."""

import tempfile
from pathlib import Path

from pneumo_tasks.storage import layout
from pneumo_tasks.storage.object_store import ObjectStore


def write_event_log(store: ObjectStore, run_id: str, stage: str, records: list[dict[str, float]]) -> None:
    """Write runs/<run>/tensorboard/<stage>/ anew from the history so far; a resumed run repeats it.

    TensorBoard reads the folder from the bucket or from a copy (``--logdir``).
    """
    import tensorflow as tf
    from tensorflow.core.framework import summary_pb2  # type: ignore[import-untyped,unused-ignore]

    kind = summary_pb2.SummaryMetadata(
        plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name="scalars"),
        data_class=summary_pb2.DATA_CLASS_SCALAR,
    )
    with tempfile.TemporaryDirectory(prefix="pneumo-") as folder:
        writer = tf.summary.create_file_writer(folder)
        with writer.as_default():
            for record in records:
                for name in sorted(set(record) - {"epoch"}):
                    value = tf.constant(record[name], tf.float32)
                    tf.summary.write(name, value, step=int(record["epoch"]), metadata=kind)
        writer.close()
        (written,) = Path(folder).iterdir()
        store.put(layout.run(run_id, f"tensorboard/{stage}/events.out.tfevents.pneumo"), written.read_bytes())
