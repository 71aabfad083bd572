"""The bucket's map: every key Pneumo reads or writes is named here and nowhere else.

All functions are pure. Identifiers that come from outside (batch ids, run ids, versions) are
checked by ``identifier`` before they become part of a key, so no key can leave its folder.
"""

import re

from pneumo_tasks.errors import BadConfiguration

CHAMPION = "champion.json"
LEDGER = "ledger/"
LEDGER_COPY = "ledger-copy.json"
INCOMING = "incoming/"
VALIDATIONS = "validations/"
VALIDATIONS_BEGUN = "validations-begun/"
WITHDRAWALS = "withdrawals/"
CATALOGUE = "catalogue/"
DATASETS = "datasets/"
RUNS = "runs/"
RUN_INDEX = "run-index/"
RUN_CATALOGUE = "run-catalogue.json.gz"
TEST_SETS = "test-sets/"
MODELS = "models/"
COMPARED = "compare."
PROTOCOLS = "protocols/"
OUTCOMES = "outcomes/"
REGISTER = "register/register.json"
REGISTERED = "register/patients/"
STORE_PROBES = "store-probes/"

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_LONGEST = 200
_ODD = re.compile(r"[^A-Za-z0-9._-]|(?<=\.)\.|^[._-]")
_ESCAPED = re.compile(r"~([0-9a-f]{2})")
_LEDGER_ENTRY = re.compile(rf"{LEDGER}(\d{{8}})\.json")


def identifier(value: str, kind: str) -> str:
    """Return ``value`` if it is safe as one segment of a key.

    Raises BadConfiguration for anything but 1-200 letters, digits, dots, dashes and underscores
    that starts with a letter or a digit.
    """
    if not is_identifier(value):
        raise BadConfiguration(
            f"{value!r} is not a {kind}",
            found="allowed: letters, digits, '.', '_', '-'; at most 200 characters",
            do=f"Use another {kind}.",
        )
    return value


def is_identifier(value: str) -> bool:
    """Whether ``value`` can be an id of ours; a folder of another name was ordered by nobody."""
    return _IDENTIFIER.fullmatch(value) is not None and ".." not in value


def run_key(run_id: str) -> str:
    """The segment of a key that belongs to this run id and to no other; ``run_of`` turns it back.

    Letters, digits, dots, dashes and underscores stay; every other byte, a leading sign and a second
    dot become ``~`` and two hex digits. BadConfiguration for an id that is empty or too long for a key.
    """
    key = _ODD.sub(lambda odd: "".join(f"~{byte:02x}" for byte in odd[0].encode()), run_id)
    if not 1 <= len(key) <= _LONGEST:
        raise BadConfiguration(
            f"{run_id[:80]!r} is not a run id",
            found=f"{len(key)} letters as a key, allowed are 1 to {_LONGEST}",
            do="Use a shorter run id.",
        )
    return key


def run_of(key: str) -> str:
    """The run id that ``key`` was made from; BadConfiguration where no run id leads to it."""
    run_id = re.sub(r"((?:~[0-9a-f]{2})+)", lambda found: _unescaped(found[0]), key)
    if run_key(run_id) != key:
        raise BadConfiguration(f"{key[:80]!r} is the folder of no run", do="Pneumo leaves it alone.")
    return run_id


def is_run_key(name: str) -> bool:
    """Whether a folder below ``runs/`` has the name of a run; any other is not ours."""
    try:
        return bool(run_of(name))
    except BadConfiguration:
        return False


def _unescaped(text: str) -> str:
    return bytes(int(pair, 16) for pair in _ESCAPED.findall(text)).decode(errors="replace")


def former_run_key(run_id: str) -> str:
    """The segment that older releases used, which several run ids may share; for reading alone."""
    return identifier(re.sub(r"[^A-Za-z0-9._-]", "-", run_id), "run id")


def check_run_id(run_id: str) -> str:
    """Return ``run_id`` if a run may have it; BadConfiguration where it is reserved or too long."""
    run_key(run_id)
    if run_id.startswith(COMPARED):
        raise BadConfiguration(
            f"run ids that begin with {COMPARED!r} are reserved",
            found=run_id[:80],
            do="They belong to `pneumo recipes compare`. Use another run id.",
        )
    return run_id


def incoming(batch_id: str, path: str = "") -> str:
    return f"{INCOMING}{identifier(batch_id, 'batch id')}/{path}"


def batch_manifest(batch_id: str) -> str:
    return incoming(batch_id, "batch.json")


def batch_images_csv(batch_id: str) -> str:
    return incoming(batch_id, "images.csv")


def incoming_file(batch_id: str, sha256: str) -> str:
    """A file of a batch under its content's digest; which paths it has is said by files.json."""
    return incoming(batch_id, f"files/{identifier(sha256, 'file digest')}")


def validation_begun(batch_id: str, attempt: str) -> str:
    """A marker: somebody began to judge this batch."""
    return f"{VALIDATIONS_BEGUN}{identifier(batch_id, 'batch id')}/{identifier(attempt, 'attempt')}"


def catalogue_entry(seq: int) -> str:
    """The place of a verdict in the order of acceptance."""
    return f"{CATALOGUE}1/{seq:08d}.json"


def catalogue_segment(size: int, last: int) -> str:
    """``size`` entries in one object, up to the place ``last``; made again from them at any time."""
    return f"{CATALOGUE}{size}/{last:08d}.json"


def catalogue_complete() -> str:
    """A marker: every verdict of the time before the catalogue is in it."""
    return f"{CATALOGUE}complete.json"


def validation(batch_id: str, digest: str, name: str = "") -> str:
    batch_id, digest = identifier(batch_id, "batch id"), identifier(digest, "batch digest")
    return f"{VALIDATIONS}{batch_id}/{digest}/{name}"


def released_image(batch_id: str, digest: str, name: str) -> str:
    """An image of a batch that was read out of an archive or a DICOM file."""
    return validation(batch_id, digest, f"images/{identifier(name, 'image name')}")


def withdrawal(batch_id: str) -> str:
    return f"{WITHDRAWALS}{identifier(batch_id, 'batch id')}.json"


def is_withdrawal(key: str) -> bool:
    name = key.removeprefix(WITHDRAWALS)
    return name.endswith(".json") and is_identifier(name.removesuffix(".json"))


def quarantine(batch_id: str, digest: str) -> str:
    return f"quarantine/{identifier(batch_id, 'batch id')}/{identifier(digest, 'batch digest')}/rejected.csv"


def registered(seq: int) -> str:
    """The patients that one assembly saw for the first time."""
    return f"{REGISTERED}{seq:08d}.json"


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


def revision(run_id: str, kind: str, number: int) -> str:
    """The n-th decision or evaluation of a run, written once; ``decision.json`` is a copy of the last one."""
    return run(run_id, f"revisions/{kind}-{number:04d}.json")


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


def is_ledger_entry(key: str) -> bool:
    """Whether ``key`` has the name of an entry; folder markers and notes of people have not."""
    return _LEDGER_ENTRY.fullmatch(key) is not None


def test_set_look(test_set_id: str, look_id: str) -> str:
    """One look at a test set; ``look_id`` is ``<run>.<role>.<digest>``, the run as in its own key."""
    return f"{TEST_SETS}{identifier(test_set_id, 'test set id')}/looks/{look_id}.json"


def test_set_films(test_set_id: str) -> str:
    """The sha256 of every film of one test set, one a line, written once."""
    return f"{TEST_SETS}{identifier(test_set_id, 'test set id')}/films.txt"


def test_set_scores(test_set_id: str, model_sha256: str) -> str:
    """What one model's artefact answers on one version of the test set, computed once."""
    test_set_id = identifier(test_set_id, "test set id")
    return f"{TEST_SETS}{test_set_id}/scores/{identifier(model_sha256, 'model digest')}.parquet"


def test_set_serving(test_set_id: str, model_sha256: str) -> str:
    """How one model's artefact did in a fresh process, asked about films of one test set."""
    test_set_id = identifier(test_set_id, "test set id")
    return f"{TEST_SETS}{test_set_id}/serving/{identifier(model_sha256, 'model digest')}.json"
