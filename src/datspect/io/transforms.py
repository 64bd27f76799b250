"""Write an affine as ITK programs read it: ANTs, Slicer, SimpleITK."""

from pathlib import Path

import numpy as np

from datspect.imaging.volume import Affine
from datspect.io.atomic import replacing

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_transform(path: Path, to_scan: Affine) -> None:
    """Write `to_scan`, shape (4, 4), mm of MNI space to mm of the scan, both RAS+; the file has LPS, as ITK wants it.

    `path` ends in .tfm or .txt, by which ITK chooses the format. With the file, `antsApplyTransforms -r MNI -i SCAN -t
    FILE` brings the scan to MNI.
    """
    import SimpleITK  # here, since it takes 100 MB

    itk = _RAS_TO_LPS @ to_scan @ _RAS_TO_LPS
    transform = SimpleITK.AffineTransform(3)
    transform.SetMatrix(itk[:3, :3].ravel().tolist())
    transform.SetTranslation(itk[:3, 3].tolist())
    with replacing(path) as unfinished:
        SimpleITK.WriteTransform(transform, str(unfinished))


def read_transform(path: Path) -> Affine:
    """Return what `write_transform` wrote, shape (4, 4), RAS+."""
    import SimpleITK

    transform = SimpleITK.AffineTransform(SimpleITK.ReadTransform(str(path)))
    itk = np.eye(4)
    itk[:3, :3] = np.array(transform.GetMatrix()).reshape(3, 3)
    itk[:3, 3] = transform.GetTranslation()
    return np.asarray(_RAS_TO_LPS @ itk @ _RAS_TO_LPS, dtype=np.float64)
