"""Fill a cohort folder by a plan: import every subject's scan, on all cores, stoppable at any moment."""

import logging
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from itertools import takewhile
from pathlib import Path

import pandas as pd
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from datspect.cohort.kind import CohortKind
from datspect.cohort.signature import GEOMETRY_NAME
from datspect.cohort.table import COLUMNS, REGISTRATION_NAME, Cohort, write_cohort
from datspect.errors import ImportingError
from datspect.importing.account import (
    ACCOUNT_NAME,
    EXCLUDED_NAME,
    ORIENTATION_NAME,
    Account,
    write_account,
)
from datspect.importing.folder import DOUBTFUL, REFUSED, TRANSFORMS, VOLUMES, remove, reserved
from datspect.importing.journal import Entry, ImportedScan, Journal, Tried, is_whole, open_journal, volume_path
from datspect.importing.plan import Exclusion, Plan, PlannedSubject
from datspect.importing.pseudonyms import Pseudonyms
from datspect.importing.scan import Failure, ImportOptions, import_subject
from datspect.io.sources import Source
from datspect.normalisation.placing import USUAL_Z_OFFSET_VOXELS, head_template
from datspect.phantom.template import mean_phantom
from datspect.running.pool import unordered
from datspect.running.progress import progress

Seals = Mapping[str, list[Tried]]
"""Every subject's candidates with the seals of their files."""

_RESULTS = (
    *("participants.tsv", "cohort.json", ACCOUNT_NAME, EXCLUDED_NAME, ORIENTATION_NAME),
    *(REGISTRATION_NAME, GEOMETRY_NAME),
)
_NAMED = 10

log = logging.getLogger("datspect.importing")


def import_subjects(plan: Plan, folder: Path, options: ImportOptions, names: Pseudonyms) -> Account:
    """Fill a cohort folder, going on where an earlier import of the same subjects was stopped.

    `participants.tsv` is written last: a folder without it is unfinished. If no scan can be imported, it and
    `cohort.json` are not written.

    Raises
    ------
    ImportingError : the folder is in use, is not one of ours, or git would take it; with `strict`, also a bad scan.
    """
    _check_plan(plan)
    with reserved(folder):
        journal = open_journal(folder, names.fingerprint)
        _refuse_unlisted(journal, plan)
        seals = {
            who.subject_id: [(candidate.scan_id, _seal(candidate.source, names)) for candidate in who.candidates]
            for who in plan.subjects
        }
        finished = _finished(journal, folder, plan, seals, options)
        if len(finished) < len(plan.subjects):
            remove(folder / name for name in _RESULTS)
        journal.keep_only(finished)
        failures = _import_unfinished(plan, finished, folder.absolute(), options, journal, seals)
        if options.strict and failures:
            raise ImportingError(_strict_message(failures[0], plan, names, len(journal.entries)))
        with _writing(journal):
            return _concluded(plan, folder, options, names, journal, failures)


@contextmanager
def _writing(journal: Journal) -> Iterator[None]:
    """Say what is kept if the disk is full or gone after hours of work."""
    try:
        yield
    except OSError as error:
        raise ImportingError(
            f"{journal.path.parent}: cannot be written to any more ({error.strerror}); the {len(journal.entries)} "
            "finished scans are kept: make room, then the same command goes on"
        ) from None


def _import_unfinished(
    plan: Plan, finished: set[str], folder: Path, options: ImportOptions, journal: Journal, seals: Seals
) -> list[Failure]:
    """Import all who are not finished, and note each in the journal; with `strict` begin nobody new after a failure."""
    todo = [who for who in plan.subjects if who.subject_id not in finished]
    failures: list[Failure] = []
    wanted = takewhile(lambda _: not (options.strict and failures), todo)
    with closing(_imported(wanted, len(todo), folder, options)) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome, Failure):
                failures.append(outcome)
            else:
                with _writing(journal):
                    journal.append(_entry(outcome, seals[outcome.subject_id], options))
    return failures


def _imported(
    subjects: Iterable[PlannedSubject], total: int, folder: Path, options: ImportOptions
) -> Generator[ImportedScan | Failure, None, None]:
    """Yield the outcome of each subject as it is done; only small records come back."""
    if not total:
        return
    mean_phantom()  # made here once: each worker would make its own
    if options.space != "mni":
        offset = options.z_offset_voxels
        _ = head_template(USUAL_Z_OFFSET_VOXELS if offset is None else offset).parts
    work = partial(import_subject, folder=folder, options=options)
    # Each matrix product has one thread: on all cores in every worker they would slow each other down.
    with threadpool_limits(1), closing(unordered(work, subjects, options.n_workers)) as outcomes:
        yield from progress(outcomes, total=total, what="import", unit="scan")


def _check_plan(plan: Plan) -> None:
    scan_ids = [candidate.scan_id for subject in plan.subjects for candidate in subject.candidates]
    subject_ids = [subject.subject_id for subject in plan.subjects]
    for ids in (scan_ids, subject_ids):
        repeated = sorted(name for name, n in Counter(ids).items() if n > 1)
        if repeated:
            raise ImportingError(f"listed more than once: {_some(repeated)}; mend the table that lists the scans")


def _refuse_unlisted(journal: Journal, plan: Plan) -> None:
    """Refuse a plan from which an imported subject vanished: each must be listed, or excluded with a reason."""
    listed = {who.subject_id for who in plan.subjects} | {name for out in plan.exclusions for name in out.what.split()}
    unlisted = sorted(set(journal.entries) - listed)
    if unlisted:
        raise ImportingError(
            f"{journal.path.parent}: holds {len(unlisted)} subject(s) that this import does not list: "
            f"{_some(unlisted)}; give the tables and groups of the earlier import too, choose another folder, or "
            "delete this one and import anew"
        )


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:_NAMED]) + (f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else "")


def _finished(journal: Journal, folder: Path, plan: Plan, seals: Seals, options: ImportOptions) -> set[str]:
    """Return subjects whose scan is there, whole, and the one that would be imported now."""
    entries = [journal.entries[who.subject_id] for who in plan.subjects if who.subject_id in journal.entries]
    scans = [entry.scan for entry in entries if entry.answers(seals[entry.scan.subject_id], options.made_with)]
    pool = Parallel(n_jobs=options.n_workers or -1, prefer="threads")
    whole = pool(delayed(is_whole)(folder, scan) for scan in scans)
    finished = {scan.subject_id for scan, is_there in zip(scans, whole, strict=True) if is_there}
    if finished:
        log.info("%d of %d scans are imported already", len(finished), len(plan.subjects))
    return finished


def _seal(source: Source | None, names: Pseudonyms) -> str | None:
    """Return a code that changes with the file and tells nothing else; the time of change stands for the content."""
    if source is None:
        return None
    changed = source.container.stat().st_mtime_ns if source.container.exists() else 0
    return names.seal(f"{source.name}\0{source.member}\0{source.size}\0{changed}")


def _entry(scan: ImportedScan, candidates: list[Tried], options: ImportOptions) -> Entry:
    chosen = [scan_id for scan_id, _ in candidates].index(scan.scan_id)
    return Entry(scan, tuple(candidates[: chosen + 1]), options.made_with)


def _concluded(
    plan: Plan, folder: Path, options: ImportOptions, names: Pseudonyms, journal: Journal, failures: list[Failure]
) -> Account:
    """Write the cohort's tables and account; remove volumes that belong to nobody now."""
    imported = tuple(entry.scan for entry in journal.entries.values())
    scans = _scans_table(plan, journal)
    exclusions = sorted(
        [*plan.exclusions, *_left_out(imported, failures, plan, names)], key=lambda out: (out.reason, out.what)
    )
    account = Account(plan.counts, scans, imported, tuple(exclusions), options.z_offset_voxels)
    journal.keep_only(journal.entries)
    _remove_what_is_nobodys(folder, imported, failures)
    write_account(folder, account)
    if imported:
        write_cohort(Cohort(folder, CohortKind.REAL, scans))
    return account


def _remove_what_is_nobodys(folder: Path, imported: Iterable[ImportedScan], failures: Iterable[Failure]) -> None:
    """Remove volumes, transforms and pictures of scans that are no longer imported, registered or refused."""
    outcomes: list[ImportedScan | Failure] = [*imported, *failures]
    refused = {outcome.scan_id for outcome in outcomes if isinstance(outcome, Failure)}
    refused |= {earlier.scan_id for outcome in outcomes for earlier in outcome.passed_over}
    registered = {scan.scan_id for scan in imported if scan.registration is not None}
    kept = {VOLUMES: {scan.scan_id for scan in imported}, TRANSFORMS: registered, DOUBTFUL: registered}
    for name, scan_ids in (kept | {REFUSED: refused}).items():
        remove(path for path in (folder / name).iterdir() if path.stem not in scan_ids)


def _scans_table(plan: Plan, journal: Journal) -> pd.DataFrame:
    """Return the table of a cohort, columns `cohort.table.COLUMNS`, sorted by scan_id."""
    rows = []
    for subject in plan.subjects:
        entry = journal.entries.get(subject.subject_id)
        if entry:
            scan = entry.scan
            candidate = next(each for each in subject.candidates if each.scan_id == scan.scan_id)
            who = (scan.scan_id, subject.subject_id, subject.label, subject.sex, candidate.age, subject.site)
            rows.append((*who, candidate.visit, volume_path(scan.scan_id), scan.sha256))
    table = pd.DataFrame(rows, columns=list(COLUMNS)).sort_values("scan_id", ignore_index=True)
    return table.assign(age=table["age"].astype("Float64").round().astype("Int64"))


def _left_out(
    imported: Iterable[ImportedScan], failures: Iterable[Failure], plan: Plan, names: Pseudonyms
) -> Iterator[Exclusion]:
    files = _file_pseudonyms(plan, names)
    outcomes: list[ImportedScan | Failure] = [*imported, *failures]
    for outcome in outcomes:
        for earlier in outcome.passed_over:
            yield Exclusion(_joined(earlier.scan_id, files.get(earlier.scan_id)), earlier.reason)
    for failure in failures:
        yield Exclusion(_what(failure, files), failure.reason)


def _what(failure: Failure, files: Mapping[str, str]) -> str:
    return _joined(failure.subject_id, failure.scan_id, files.get(failure.scan_id))


def _file_pseudonyms(plan: Plan, names: Pseudonyms) -> dict[str, str]:
    candidates = (candidate for subject in plan.subjects for candidate in subject.candidates)
    return {each.scan_id: names.file(each.source.name) for each in candidates if each.source}


def _joined(*pseudonyms: str | None) -> str:
    return " ".join(name for name in pseudonyms if name)


def _strict_message(failure: Failure, plan: Plan, names: Pseudonyms, n_finished: int) -> str:
    what = _what(failure, _file_pseudonyms(plan, names))
    return f"{what}: {failure.reason}; --strict stops here, the {n_finished} finished scans are kept"
