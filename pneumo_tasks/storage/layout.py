"""The bucket's map: every key Pneumo reads or writes is named here and nowhere else.

All functions are pure. Identifiers that come from outside (batch ids, run ids, versions) are
checked by ``identifier`` before they become part of a key, so no key can leave its folder.
"""

import re

from pneumo_tasks.errors import BadConfiguration

CHAMPION = "champion.json"
LEDGER = "ledger/"
INCOMING = "incoming/"
VALIDATIONS = "validations/"
WITHDRAWALS = "withdrawals/"
DATASETS = "datasets/"
RUNS = "runs/"
RUN_INDEX = "run-index/"
MODELS = "models/"
COMPARED = "compare."
PROTOCOLS = "protocols/"
OUTCOMES = "outcomes/"
STORE_PROBES = "store-probes/"

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


def identifier(value: str, kind: str) -> str:
    """Return ``value`` if it is safe as one segment of a key.

    Raises BadConfiguration for anything but 1-200 letters, digits, dots, dashes and underscores
    that starts with a letter or a digit.
    """
    if not _IDENTIFIER.fullmatch(value) or ".." in value:
        raise BadConfiguration(
            f"{value!r} is not a {kind}",
            found="allowed: letters, digits, '.', '_', '-'; at most 200 characters",
            do=f"Use another {kind}.",
        )
    return value


def run_key(run_id: str) -> str:
    """Turn an Airflow run id (which holds ':' and '+') into a segment of a key, one to one enough."""
    return identifier(re.sub(r"[^A-Za-z0-9._-]", "-", run_id), "run id")


def incoming(batch_id: str, path: str = "") -> str:
    return f"{INCOMING}{identifier(batch_id, 'batch id')}/{path}"


def batch_manifest(batch_id: str) -> str:
    return incoming(batch_id, "batch.json")


def batch_images_csv(batch_id: str) -> str:
    return incoming(batch_id, "images.csv")


def validation(batch_id: str, digest: str, name: str = "") -> str:
    batch_id, digest = identifier(batch_id, "batch id"), identifier(digest, "batch digest")
    return f"{VALIDATIONS}{batch_id}/{digest}/{name}"


def released_image(batch_id: str, digest: str, name: str) -> str:
    """An image of a batch that was read out of an archive or a DICOM file."""
    return validation(batch_id, digest, f"images/{identifier(name, 'image name')}")


def withdrawal(batch_id: str) -> str:
    return f"{WITHDRAWALS}{identifier(batch_id, 'batch id')}.json"


def quarantine(batch_id: str, digest: str) -> str:
    return f"quarantine/{identifier(batch_id, 'batch id')}/{identifier(digest, 'batch digest')}/rejected.csv"


def dataset(snapshot_id: str, name: str = "") -> str:
    return f"{DATASETS}{identifier(snapshot_id, 'snapshot id')}/{name}"


def dataset_decision(snapshot_id: str, run_id: str) -> str:
    """A marker: this run reached a decision on this snapshot."""
    return dataset(snapshot_id, f"decisions/{run_key(run_id)}")


def extractor(extractor_id: str, name: str) -> str:
    """What is known about all features of one extractor."""
    return f"features/{identifier(extractor_id, 'extractor id')}/{name}"


def features(extractor_id: str, shard_id: str, name: str = "") -> str:
    return f"features/{identifier(extractor_id, 'extractor id')}/{identifier(shard_id, 'shard id')}/{name}"


def template(method: str, name: str) -> str:
    """The template that films are aligned to, and its record."""
    return f"templates/{identifier(method, 'method')}/{identifier(name, 'template')}"


def run(run_id: str, name: str = "") -> str:
    return f"{RUNS}{run_key(run_id)}/{name}"


def run_entry(run_id: str) -> str:
    """What a list of runs shows of one; made again from the run at any time."""
    return f"{RUN_INDEX}{run_key(run_id)}.json"


def comparison(comparison_id: str) -> str:
    """The table of one comparison of recipes."""
    return f"comparisons/{identifier(comparison_id, 'comparison id')}.json"


def compared_run(comparison_id: str, recipe: str) -> str:
    """The run that a comparison trains one recipe in; lists of runs leave such runs out."""
    return f"{COMPARED}{comparison_id}.{recipe}"


def model(version: str, name: str = "") -> str:
    return f"{MODELS}{identifier(version, 'model version')}/{name}"


def protocol(digest: str) -> str:
    """What has to hold for a promotion, under the sha256 of its canonical bytes."""
    return f"{PROTOCOLS}{identifier(digest, 'protocol')}.json"


def protocol_proposal(digest: str, after: int) -> str:
    """Who wants a protocol in place of the one of ledger entry ``after``, while a second person is asked."""
    return f"{PROTOCOLS}{identifier(digest, 'protocol')}.proposal-{after:08d}.json"


def signature_of(key: str) -> str:
    """The signature of the JSON document at ``key``, beside it."""
    return f"{key.removesuffix('.json')}.sig.json"


def outcomes(seq: int) -> str:
    """One import of outcomes: what the live model said, and what was confirmed."""
    return f"{OUTCOMES}{seq:08d}.json"


def watched(version: str, state: str) -> str:
    """What the watch of a version said of one state of the outcomes."""
    return f"watch/{identifier(version, 'model version')}/{identifier(state, 'state')}.json"


def ledger_entry(seq: int) -> str:
    return f"{LEDGER}{seq:08d}.json"


def test_set_look(test_set_id: str, look_id: str) -> str:
    test_set_id = identifier(test_set_id, "test set id")
    return f"test-sets/{test_set_id}/looks/{identifier(look_id, 'look id')}.json"


def test_set_scores(test_set_id: str, model_sha256: str) -> str:
    """What one model's artefact answers on one version of the test set, computed once."""
    test_set_id = identifier(test_set_id, "test set id")
    return f"test-sets/{test_set_id}/scores/{identifier(model_sha256, 'model digest')}.parquet"


def test_set_serving(test_set_id: str, model_sha256: str) -> str:
    """How one model's artefact did in a fresh process, asked about films of one test set."""
    test_set_id = identifier(test_set_id, "test set id")
    return f"test-sets/{test_set_id}/serving/{identifier(model_sha256, 'model digest')}.json"
