"""The configuration of a trial, and a check of all that a search may ask for, before anything is trained."""

from minibert.errors import MinibertError
from minibert.running.plan import Job, plan
from minibert.running.search.reading import Asked
from minibert.running.search.space import Values, extremes, words_of
from minibert.running.sweep_checks import check_metric


def job_of(asked: Asked, values: Values) -> Job:
    """The run of a trial: the words that all share, and those that set its values.

    Raises :class:`MinibertError` for what ``minibert run`` would not take.
    """
    return plan([*asked.words, *words_of(values)], multirun=False).jobs[0]


def check(asked: Asked) -> Job:
    """Compose the runs at the ends of all ranges, with every choice. Returns the first of them.

    Raises :class:`MinibertError` for the first that ``minibert run`` would not take, and for an objective that it
    does not record.
    """
    jobs = []
    for values in extremes(asked.search.parameters):
        try:
            jobs.append(job_of(asked, values))
        except MinibertError as error:
            raise MinibertError(
                f"+search={asked.search.name}, a trial with {' '.join(words_of(values))}: {error}"
            ) from error
    for metric in asked.search.metrics:
        for job in jobs:
            try:
                check_metric(metric, job.config)
            except MinibertError as error:
                raise MinibertError(str(error).replace("study.metric=", "search.objectives.", 1)) from error
    return jobs[0]
