"""Make up whole PPMI downloads with every trap of the real ones, and the right answer to each.

Nothing in here comes from PPMI: ids, dates and people are counted up. The bytes of an image come from the caller, who
is told what the image shall be (`MadeUpImage.content`, `.form`, `.label`).
"""

import csv
import io
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

Content = Literal["reconstruction", "projections", "native", "spoilt"]
Form = Literal["dcm", "nii", "nii.gz"]
Part = Literal["folder", "zip", "zip without a root"]

LABEL_OF_GROUP = {
    "Control": "control",
    "PD": "pd",
    "SWEDD": "swedd",
    "Prodromal": "prodromal",
    "GenCohort PD": "gencohort_pd",
    "GenCohort Unaff": "gencohort_unaffected",
    "GenReg PD": "genreg_pd",
    "GenReg Unaff": "genreg_unaffected",
    "Phantom": "phantom",
    "Volunteer": "volunteer",
}
DESCRIPTION = "Reconstructed DaTSCAN"
UPLOAD_STAMP = "20120814154829508"
FIRST_DATE = date(2011, 2, 3)
OLD_VISITS = {"SC": "0", "BL": "1", "V04": "4", "V06": "6", "U01": "91"}


@dataclass(frozen=True)
class MadeUpImage:
    """One acquisition: a row of the collection CSV and, mostly, a file."""

    subject: str
    image_id: str
    date: date
    label: str
    visit: str = "SC"
    form: Form = "dcm"
    content: Content = "reconstruction"
    description: str = DESCRIPTION
    modality: str = "SPECT"
    twin_of: str = ""
    """Id of the image whose voxels this one has too; "" for voxels of its own."""

    @property
    def file_name(self) -> str:
        ids = f"S{100_000 + int(self.image_id) % 99_991}_I{self.image_id}"
        return f"PPMI_{self.subject}_NM_Reconstructed_DaTSCAN_Br_{UPLOAD_STAMP}_1_{ids}.{self.form}"

    @property
    def date_folder(self) -> str:
        return f"{self.date:%Y-%m-%d}_09_41_27.0"

    @property
    def path(self) -> str:
        folder = self.description.replace(" ", "_")
        return f"PPMI/{self.subject}/{folder}/{self.date_folder}/I{self.image_id}/{self.file_name}"


ImageBytes = Callable[[MadeUpImage], bytes]


@dataclass
class MadeUpSubject:
    """A person, and the right result of an import of the whole download.

    `candidates`: (image id, whether there is a file), in order; `imported`: the image id that becomes the scan when
    the files are read, "" where the subject is to be excluded.
    """

    subject: str
    group: str
    sex: Literal["female", "male"]
    age_in_csv: str
    age: float | None
    images: list[MadeUpImage] = field(default_factory=list)
    candidates: list[tuple[str, bool]] = field(default_factory=list)
    imported: str = ""

    @property
    def label(self) -> str:
        return LABEL_OF_GROUP[self.group]


@dataclass
class Download:
    """A made-up download; `write` puts it below a folder and fills `roots` and `tables`."""

    first_subject: int = 3000
    first_image: int = 323_660
    subjects: dict[str, MadeUpSubject] = field(default_factory=dict)
    """People by trap; plain ones are keyed "plain control 0" and so on."""
    files: list[tuple[Part, str, MadeUpImage | bytes]] = field(default_factory=list)
    table_rows: dict[str, list[MadeUpImage]] = field(default_factory=lambda: {"old": [], "new": [], "ida": []})
    unmatched: list[str] = field(default_factory=list)
    """Paths of scan files that belong to no row or contradict it."""
    n_duplicates: int = 0
    roots: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)

    def add_subject(self, trap: str, group: str = "PD", age: str = "", expected_age: float | None = None) -> str:
        """Add a person without images; an age of "" is made up."""
        number = len(self.subjects)
        sex: Literal["female", "male"] = "female" if number % 3 == 0 else "male"
        if not age:
            age, expected_age = f"{51 + number % 30}.{number % 10}", 51.0 + number % 30
        subject = str(self.first_subject + number)
        self.subjects[trap] = MadeUpSubject(subject, group, sex, age.replace("none", ""), expected_age)
        return trap

    def add_image(self, trap: str, *, days: int = 0, tables: Iterable[str] = ("new",), **fields: object) -> MadeUpImage:
        """Add an acquisition of a person, `days` after their first; it stands in `tables` but has no file yet."""
        person = self.subjects[trap]
        n_images = sum(len(subject.images) for subject in self.subjects.values())
        day = FIRST_DATE + timedelta(days=9 * list(self.subjects).index(trap) + days)
        image = MadeUpImage(person.subject, str(self.first_image + 7 * n_images), day, person.label)
        image = replace(image, **fields)  # type: ignore[arg-type]
        person.images.append(image)
        for table in tables:
            self.table_rows[table].append(image)
        return image

    def put(self, image: MadeUpImage, part: Part = "folder", path: str = "") -> None:
        """Put the file of an image into a part of the download; by default where PPMI puts it."""
        self.files.append((part, path or image.path, image))

    def expect(self, trap: str, *candidates: tuple[MadeUpImage, bool], imported: MadeUpImage | None) -> None:
        """Set what is right for a person."""
        self.subjects[trap].candidates = [(image.image_id, has_file) for image, has_file in candidates]
        self.subjects[trap].imported = imported.image_id if imported else ""

    def chosen(self, labels: Iterable[str] = ("pd", "control")) -> dict[str, MadeUpSubject]:
        """Return the people that an import of `labels` plans, by original subject id."""
        wanted = set(labels)
        return {who.subject: who for who in self.subjects.values() if who.candidates and who.label in wanted}

    def identifiers(self) -> set[str]:
        """Return every text that must not reach an output: ids, dates as written, file names."""
        found = {UPLOAD_STAMP, *(who.subject for who in self.subjects.values())}
        for image in (image for who in self.subjects.values() for image in who.images):
            found |= {image.image_id, image.file_name, image.date_folder, image.date.isoformat()}
            found |= {f"{image.date:%Y%m%d}", *_american(image.date)}
        return found

    def write(self, folder: Path, image_bytes: ImageBytes) -> None:
        """Write folders, zips and CSVs below `folder`."""
        contents = [
            (part, path, what if isinstance(what, bytes) else image_bytes(what)) for part, path, what in self.files
        ]
        root = folder / "downloaded"
        for path, content in [(path, content) for part, path, content in contents if part == "folder"]:
            target = root / "PPMI" / path  # the doubled root: PPMI/PPMI
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        zipped = [(path, content) for part, path, content in contents if part == "zip"]
        bare = [(path.removeprefix("PPMI/"), content) for part, path, content in contents if part.endswith("root")]
        self.roots = [root, folder / "PPMI_2.zip"]
        write_zip(folder / "PPMI_2.zip", zipped)
        write_zip(root / "more" / "PPMI_3.ZIP", bare)
        self._write_tables(folder)

    def _write_tables(self, folder: Path) -> None:
        people = {who.subject: who for who in self.subjects.values()}
        names = {"old": "PPMI_8_14_2012.csv", "new": "PPMI_DaTSCAN_3_02_2024.csv", "ida": "idaSearch_3_02_2024.csv"}
        self.tables = []
        for style, rows in self.table_rows.items():
            if rows:
                text = {"old": old_csv, "new": new_csv, "ida": ida_csv}[style](rows, people)
                (folder / names[style]).write_bytes(text.encode("utf-8-sig"))
                self.tables.append(folder / names[style])


def write_zip(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write a zip as the archive does, folders included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)


def old_csv(rows: Iterable[MadeUpImage], people: dict[str, MadeUpSubject]) -> str:
    """Return an old export: bare image ids, numbered visits, dates without padding."""
    return _csv_text(
        {
            "Image Data ID": image.image_id,
            "Subject": image.subject,
            "Group": people[image.subject].group,
            "Sex": people[image.subject].sex[0].upper(),
            "Age": people[image.subject].age_in_csv,
            "Visit": OLD_VISITS[image.visit],
            "Modality": image.modality,
            "Description": image.description,
            "Type": "Pre-processed",
            "Acq Date": _american(image.date)[0],
            "Format": "DCM",
            "Downloaded": "8/14/2012",
        }
        for image in rows
    )


def new_csv(rows: Iterable[MadeUpImage], people: dict[str, MadeUpSubject]) -> str:
    """Return a newer export: image ids with an I, visit codes, healthy controls as HC, every second date padded."""
    return _csv_text(
        {
            "Image Data ID": f"I{image.image_id}",
            "Subject": image.subject,
            "Group": people[image.subject].group.replace("Control", "HC"),
            "Sex": people[image.subject].sex[0].upper(),
            "Age": people[image.subject].age_in_csv,
            "Visit": image.visit,
            "Modality": image.modality,
            "Description": image.description.replace(" ", "_"),
            "Type": "Processed",
            "Acq Date": _american(image.date)[number % 2],
            "Format": "DCM",
            "Downloaded": "",
        }
        for number, image in enumerate(rows)
    )


def ida_csv(rows: Iterable[MadeUpImage], people: dict[str, MadeUpSubject]) -> str:
    """Return what a search of the archive saves: other names, no group, dates as year-month-day."""
    return _csv_text(
        {
            "Subject ID": image.subject,
            "Sex": people[image.subject].sex.title(),
            "Age": people[image.subject].age_in_csv,
            "Visit": image.visit,
            "Modality": image.modality,
            "Description": image.description.lower(),
            "Image Data ID": image.image_id,
            "Type": "Processed",
            "Study Date": image.date.isoformat(),
        }
        for image in rows
    )


def full_download(n_plain: int = 2, first_subject: int = 3000, first_image: int = 323_660) -> Download:
    """Return `n_plain` ordinary people of each group, and one person for each trap; nothing is written yet."""
    download = Download(first_subject, first_image)
    for number in range(n_plain):
        for group in ("Control", "PD"):
            _add_plain(download, f"plain {group.lower()} {number}", group, table=("old", "new")[number % 2])
    for group in list(LABEL_OF_GROUP)[2:]:
        _add_plain(download, f"group {group}", group, table="old")
    _add_visits(download)
    _add_files_that_miss(download)
    _add_other_images(download)
    _add_odd_paths(download)
    _add_contradictions(download)
    _add_ages(download)
    _add_clutter(download)
    return download


def _add_plain(download: Download, trap: str, group: str, table: str = "old", part: Part = "folder") -> MadeUpImage:
    image = download.add_image(download.add_subject(trap, group), tables=(table,))
    download.put(image, part)
    download.expect(trap, (image, True), imported=image)
    return image


def _add_visits(download: Download) -> None:
    # The later visits stand in the search result alone: their group has to be found in the other table.
    trap = download.add_subject("longitudinal", "Control")
    later = download.add_image(trap, days=730, visit="V06", tables=("ida",))
    middle = download.add_image(trap, days=365, visit="V04", tables=("ida",))
    first = download.add_image(trap, tables=("old", "ida"))
    for image in (first, middle, later):
        download.put(image, "zip")
    download.expect(trap, (first, True), (middle, True), (later, True), imported=first)
    trap = download.add_subject("unscheduled only")
    image = download.add_image(trap, visit="U01", tables=("old",))
    download.put(image, "zip without a root")
    download.expect(trap, (image, True), imported=image)


def _add_files_that_miss(download: Download) -> None:
    trap = download.add_subject("empty image folder")
    first, later = download.add_image(trap), download.add_image(trap, days=400, visit="V04")
    download.files.append(("folder", f"{Path(first.path).parent.as_posix()}/PPMI_{first.subject}.xml", b"<xml/>"))
    download.put(later)
    download.expect(trap, (first, False), (later, True), imported=None)
    trap = download.add_subject("nothing downloaded", "Control")
    download.expect(trap, (download.add_image(trap), False), imported=None)
    trap = download.add_subject("one of two of a day is missing")
    missing = download.add_image(trap)
    there = download.add_image(trap)
    download.put(there)
    download.expect(trap, (there, True), (missing, False), imported=there)


def _add_other_images(download: Download) -> None:
    contents: tuple[Content, ...] = ("projections", "native")
    for content in contents:
        trap = download.add_subject(f"{content} first", "Control")
        other, scan = download.add_image(trap, content=content), download.add_image(trap)
        for image in (scan, other):
            download.put(image, "zip")
        download.expect(trap, (other, True), (scan, True), imported=scan)
    trap = download.add_subject("native only")
    native = download.add_image(trap, content="native")
    download.put(native)
    download.expect(trap, (native, True), imported=None)
    trap = download.add_subject("spoilt first")
    spoilt, later = download.add_image(trap, content="spoilt"), download.add_image(trap, days=500, visit="V04")
    download.put(spoilt)
    download.put(later)
    download.expect(trap, (spoilt, True), (later, True), imported=None)
    trap = download.add_subject("listed as something else")
    scan = download.add_image(trap, days=3)
    raw = download.add_image(trap, content="projections", description="TOMO RAW")
    download.add_image(trap, modality="MRI", description="MPRAGE")
    download.put(scan)
    download.put(raw)
    download.unmatched.append(raw.path)
    download.expect(trap, (scan, True), imported=scan)


def _add_odd_paths(download: Download) -> None:
    by_path = "PPMI/{0.subject}/Reconstructed_DaTSCAN/{0.date_folder}/scan.{0.form}"
    places = {
        "nifti by its name": "nifti/{0.file_name}",
        "nifti by the image folder": "PPMI/{0.subject}/Reconstructed_DaTSCAN/{0.date_folder}/I{0.image_id}/a.{0.form}",
        "nifti by subject and date": by_path,
        "nifti by subject alone": "nifti/{0.subject}.{0.form}",
        "masked date": "PPMI/{0.subject}/Reconstructed_DaTSCAN/9999-12-31_00_00_00.0/x/scan.{0.form}",
    }
    for number, (trap, place) in enumerate(places.items()):
        download.add_subject(trap, ("PD", "Control")[number % 2])
        image = download.add_image(trap, form=("nii", "nii.gz")[number % 2])
        download.put(image, path=place.format(image))
        download.expect(trap, (image, True), imported=image)
    trap = download.add_subject("date tells which of two")
    first, later = (download.add_image(trap, days=days, form="nii") for days in (0, 700))
    for image in (first, later):
        download.put(image, path=by_path.format(image))
    download.expect(trap, (first, True), (later, True), imported=first)
    trap = download.add_subject("masked date of two")
    first, later = (download.add_image(trap, days=days, form="nii") for days in (0, 800))
    masked = f"PPMI/{first.subject}/Reconstructed_DaTSCAN/9999-12-31_00_00_00.0/scan.nii"
    download.put(first, path=masked)
    download.unmatched.append(masked)
    download.expect(trap, (first, False), (later, False), imported=None)


def _add_contradictions(download: Download) -> None:
    image = _add_plain(download, "in two parts", "PD", part="zip")
    download.put(image, "zip without a root")
    download.n_duplicates += 1
    one = _add_plain(download, "under another subject too", "Control")
    other = _add_plain(download, "has another's scan too", "PD")
    wrong = one.path.replace(f"PPMI/{one.subject}/", f"PPMI/{other.subject}/")
    download.put(one, path=wrong)
    download.unmatched.append(wrong)
    download.add_subject("same voxels under two ids")
    twin = download.add_image("same voxels under two ids", twin_of=one.image_id)
    download.put(twin)
    download.expect("same voxels under two ids", (twin, True), imported=twin)
    trap = download.add_subject("two images in one folder", "Control")
    first, later = download.add_image(trap), download.add_image(trap, days=300, visit="V04")
    for image in (first, later):
        download.put(image, path=f"{Path(first.path).parent.as_posix()}/{image.file_name}")
    download.expect(trap, (first, True), (later, True), imported=first)


def _add_ages(download: Download) -> None:
    ages = (("aged 93", "93.4", 90.0), ("of unknown age", "none", None), ("aged 60", "60", 60.0))
    for trap, in_csv, expected in ages:
        download.add_subject(trap, "Control", age=in_csv, expected_age=expected)
        image = download.add_image(trap, tables=("old",))
        download.put(image, "zip")
        download.expect(trap, (image, True), imported=image)


def _add_clutter(download: Download) -> None:
    plain = download.subjects["plain control 0"].images[0]
    folder = Path(plain.path).parent.as_posix()
    clutter: list[tuple[Part, str]] = [
        ("folder", f"PPMI/PPMI_{plain.subject}_NM_Reconstructed_DaTSCAN_S100001_I{plain.image_id}.xml"),
        ("folder", f"{folder}/.DS_Store"),
        ("zip", f"__MACOSX/{folder}/._{plain.file_name}"),
        ("zip", "PPMI/Readme.txt"),
    ]
    download.files += [(part, path, b"clutter") for part, path in clutter]
    download.files += [("zip without a root", "PPMI/8/Reconstructed_DaTSCAN/", b"")]
    stranger = replace(plain, subject="8", image_id=str(download.first_image - 5))
    download.put(stranger)
    download.unmatched.append(stranger.path)


def _american(day: date) -> tuple[str, str]:
    return f"{day.month}/{day.day}/{day.year}", f"{day:%m/%d/%Y}"


def _csv_text(rows: Iterable[dict[str, str]]) -> str:
    rows, text = list(rows), io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
