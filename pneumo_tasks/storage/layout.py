"""The bucket's map: every key Pneumo reads or writes is named here and nowhere else.

All functions are pure. Identifiers that come from outside (batch ids, run ids, versions) are
checked by ``identifier`` before they become part of a key, so no key can leave its folder
(``identifiers`` says what they may look like).
"""

import re

from pneumo_tasks.storage.identifiers import COMPARED as COMPARED
from pneumo_tasks.storage.identifiers import check_run_id as check_run_id
from pneumo_tasks.storage.identifiers import former_run_key as former_run_key
from pneumo_tasks.storage.identifiers import identifier as identifier
from pneumo_tasks.storage.identifiers import is_identifier as is_identifier
from pneumo_tasks.storage.identifiers import is_run_key as is_run_key
from pneumo_tasks.storage.identifiers import run_key as run_key
from pneumo_tasks.storage.identifiers import run_of as run_of

CHAMPION = "champion.json"
LEDGER = "ledger/"
LEDGER_COPY = "ledger-copy.json"
SEALS = "ledger-seals/"
INCOMING = "incoming/"
VALIDATIONS = "validations/"
QUARANTINE = "quarantine/"
VALIDATIONS_BEGUN = "validations-begun/"
WITHDRAWALS = "withdrawals/"
CATALOGUE = "catalogue/"
FACT_SUMS = f"{CATALOGUE}facts/"
DATASETS = "datasets/"
FEATURES = "features/"
RUNS = "runs/"
RUN_INDEX = "run-index/"
RUN_CATALOGUE = "run-catalogue.json.gz"
TEST_SETS = "test-sets/"
MODELS = "models/"
PROTOCOLS = "protocols/"
ERROR_BUDGET = "error-budget/"
ANSWERS = "answers/"
OUTCOMES = "outcomes/"
OUTCOME_SUMS = "outcome-sums/"
OUTCOME_FILES = "incoming-outcomes/"
WATCH_EVIDENCE = "watch-evidence/"
REGISTER = "register/register.json"
REGISTERED = "register/patients/"
REGISTER_SUMS = "register/sums/"
SEEN = "seen/patients/"
SEEN_SUMS = "seen/sums/"
UNSEEN = "unseen/"
LATER = "later/"
MATRICES = "matrix/"
STORE_PROBES = "store-probes/"
TALLY = "tally/entries/"
TALLY_SUMS = "tally/sums/"

_LEDGER_ENTRY = re.compile(rf"{LEDGER}(\d{{8}})\.json")


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


def sum_of(folder: str, size: int, last: int, suffix: str = "json") -> str:
    """What ``size`` numbered objects up to ``last`` say, in one; made again from them at any time."""
    return f"{folder}{size}/{last:08d}.{suffix}"


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
    return f"{QUARANTINE}{identifier(batch_id, 'batch id')}/{identifier(digest, 'batch digest')}/rejected.csv"


def registered(seq: int) -> str:
    """The patients that one assembly saw for the first time."""
    return f"{REGISTERED}{seq:08d}.json"


def seen(seq: int) -> str:
    """The patients that training was about to learn from for the first time."""
    return f"{SEEN}{seq:08d}.json"


def unseen_scores(model_sha256: str, batch_id: str = "", sha256: str = "") -> str:
    """What a model said of a batch before anybody trained on it; written once, under its own digest."""
    return _part_of_table(UNSEEN, model_sha256, batch_id, sha256)


def later_scores(model_sha256: str, batch_id: str = "", sha256: str = "") -> str:
    """What a model said of a batch that it never learned from, asked after others did; written once."""
    return _part_of_table(LATER, model_sha256, batch_id, sha256)


def _part_of_table(table: str, model_sha256: str, batch_id: str, sha256: str) -> str:
    folder = f"{table}{identifier(model_sha256, 'model digest')}/"
    if not batch_id:
        return folder
    return f"{folder}{identifier(batch_id, 'batch id')}/{identifier(sha256, 'digest')}.parquet"


def matrix(seq: int) -> str:
    """Every kept version on every data set that it was not trained on, as it was at one time."""
    return f"{MATRICES}{seq:08d}.json"


def dataset(snapshot_id: str, name: str = "") -> str:
    return f"{DATASETS}{identifier(snapshot_id, 'snapshot id')}/{name}"


def dataset_decision(snapshot_id: str, run_id: str) -> str:
    """A marker: this run reached a decision on this snapshot."""
    return dataset(snapshot_id, f"decisions/{run_key(run_id)}")


def extractor(extractor_id: str, name: str) -> str:
    """What is known about all features of one extractor."""
    return f"{FEATURES}{identifier(extractor_id, 'extractor id')}/{name}"


def features(extractor_id: str, shard_id: str, name: str = "") -> str:
    return f"{FEATURES}{identifier(extractor_id, 'extractor id')}/{identifier(shard_id, 'shard id')}/{name}"


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


def evidence(run_id: str, kind: str, digest: str, suffix: str) -> str:
    """What a document of a run rests on, under its digest, written once."""
    return run(run_id, f"revisions/{kind}-{identifier(digest, 'digest')[:16]}.{suffix}")


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


def change_proposal(kind: str, subject: str, after: int) -> str:
    """Who wants a change by hand after ledger entry ``after``, while a second person is asked."""
    return f"proposals/{kind}/{run_key(subject)}.{after:08d}.json"


def asking(run_id: str) -> str:
    """A run asked for a sideways step, and so spent a part of the error budget."""
    return f"{ERROR_BUDGET}{run_key(run_id)}.json"


def answers(run_id: str) -> str:
    return f"{ANSWERS}{run_key(run_id)}/"


def answer(run_id: str, number: int) -> str:
    """What a person answered to a run's question number ``number``."""
    return f"{answers(run_id)}{number:04d}.json"


def signature_of(key: str) -> str:
    """The signature of the JSON document at ``key``, beside it; an entry's is in ``ledger-seals/``."""
    if is_ledger_entry(key):
        return f"{SEALS}{key.removeprefix(LEDGER)}"
    return f"{key.removesuffix('.json')}.sig.json"


def tally_entry(seq: int) -> str:
    """Which evidence was written, by sha256; signed, and in a chain."""
    return f"{TALLY}{seq:08d}.json"


def tally_ended() -> str:
    """After which entry of the tally evidence need not be sealed any more."""
    return "tally/ended.json"


def outcomes(seq: int) -> str:
    """One import of outcomes: what the live model said, and what was confirmed."""
    return f"{OUTCOMES}{seq:08d}.json"


def outcome_file(name: str) -> str:
    """A file of outcomes that somebody put into the bucket; the next watch imports it."""
    return f"{OUTCOME_FILES}{identifier(name, 'file name')}"


def watch_evidence(seq: int) -> str:
    """What the watch found, with everything that a person needs to judge it."""
    return f"{WATCH_EVIDENCE}{seq:08d}.json"


def watch_reviews(version: str, seq: int = 0) -> str:
    """What a person answered to an alarm about a version."""
    folder = f"watch-reviews/{identifier(version, 'model version')}/"
    return f"{folder}{seq:08d}.json" if seq else folder


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
