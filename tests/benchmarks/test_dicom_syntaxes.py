"""A film is the same film in whatever syntax and depth an archive holds it."""

import numpy as np
import pytest
from pydicom.uid import JPEG2000, UID, JPEGLSNearLossless

from benchmarks.dicom_syntaxes import (
    EXACT,
    LOSSY,
    SHARED,
    Network,
    as_trained,
    compare,
    forms,
    real_films,
    written,
)
from pneumo_tasks.films.imaging import decode_grey
from tests.intake.films import film, jpeg

# Two that lose a grey level here and there by design; what they lose is in docs/dicom.md.
LOSING = (JPEGLSNearLossless, JPEG2000)
FORMS = [pytest.param(*form, id=f"{form[0].name} {form[1]}") for form in forms()]


@pytest.mark.parametrize(("syntax", "bits"), FORMS)
def test_a_film_has_the_greys_of_its_jpeg_in_every_syntax_and_depth(syntax: UID, bits: int) -> None:
    data = jpeg(film(3), quality=100)
    lost = np.abs(as_trained(written(data, syntax, bits)).astype(int) - decode_grey(data)).max()
    assert lost == 0 if syntax in EXACT else lost <= 8


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the real films and ImageNet weights of ../shared")
def test_real_films_have_the_features_of_their_jpeg() -> None:
    network = Network(SHARED / "vgg16_imagenet_notop.weights.h5")
    found = list(compare(real_films(4), network))
    assert {syntax for syntax, *_ in found} == {*EXACT, *LOSSY}
    for syntax, bits, error, _, greys in found:
        assert error <= (0.1 if syntax in LOSING else 1e-2), (syntax.name, bits)
        assert greys == 0 or syntax in LOSSY
