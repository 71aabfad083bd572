"""The rows of a batch before a film is opened: a line of images.csv each, or a file each."""

import pandas as pd

from pneumo_tasks.intake.containers.archives import Files
from pneumo_tasks.intake.containers.names import MANIFEST, folder_of, match, refuse_other_parts
from pneumo_tasks.intake.sent.contents import Contents, read_table
from pneumo_tasks.intake.sent.manifests import DIVISION, REQUIRED, path_fault, read_manifest


def rows_of(files: Files, contents: Contents) -> pd.DataFrame:
    """Columns file, label, patient_id, path_fault, and the optional ones of images.csv that are there.

    Without images.csv the label of a file is the folder that it is in; there is none where labels come
    apart. The order is that of the names,
    whatever the order in the container or in images.csv. Raises BadBatch where images.csv cannot be read.
    """
    if contents.manifest is None:
        names = list(contents.files)
        rows = pd.DataFrame({"file": names, "label": [folder_of(name) for name in names]})
        rows["patient_id"] = ""
    else:
        required = REQUIRED[:1] if contents.unlabelled else REQUIRED
        data = read_table(files, contents.manifest, MANIFEST, contents.where)
        rows = read_manifest(data, MANIFEST, required).rename(columns={"path": "file"})
        refuse_other_parts(rows.attrs[DIVISION], contents.split, MANIFEST)
        rows["file"] = match(list(rows["file"]), contents.files, contents.root)
    if contents.unlabelled:
        rows["label"] = ""
    rows = rows.sort_values(list(rows.columns), ignore_index=True)
    return rows.assign(path_fault=pd.Series([path_fault(file) for file in rows["file"]], dtype=object))
