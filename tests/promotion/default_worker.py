"""Run as a script: what the queue `default` does after the evaluation, where there is no TensorFlow."""

import sys
from importlib.abc import MetaPathFinder
from typing import Any


class NotInstalled(MetaPathFinder):
    """As on a worker of the airflow image: TensorFlow, Keras and ONNX are not there."""

    absent = ("tensorflow", "keras", "onnx", "onnxruntime")

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:  # noqa: ARG002
        if fullname.split(".")[0] in self.absent:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def main(run_id: str, snapshot_id: str) -> None:
    sys.meta_path.insert(0, NotInstalled())
    from pneumo_tasks.promotion.deciding.decision import decide_promotion
    from pneumo_tasks.promotion.moving.promotion import promote_model
    from pneumo_tasks.promotion.report.report import write_report
    from pneumo_tasks.settings import Settings
    from pneumo_tasks.storage.object_store import ObjectStore

    settings = Settings.load({"resamples": 100})
    store = ObjectStore.connect(settings)
    decide_promotion(settings, store, run_id, snapshot_id)
    write_report(settings, store, run_id)
    sys.stdout.write(str(promote_model(settings, store, run_id).version))


if __name__ == "__main__":
    main(*sys.argv[1:])
