"""The help of ``minibert search``."""

from collections.abc import Mapping
from dataclasses import fields

from minibert.config.search import SearchConfig
from minibert.config.shipped import SEARCHES, shipped_options

MEANINGS: Mapping[str, str] = {
    "trials": "of the whole study, those of earlier commands included",
    "workers": "processes that train trials at once",
    "seed": "with one worker, the same seed gives the same trials",
    "sampler": "tpe goes by the results so far, random does not",
    "startup": "trials that tpe draws at random, and that end before any is pruned",
    "pruner": "median ends a trial that is worse than the median of the others at an evaluation; or none",
    "prune_after": "share of the steps of a trial before which it is not pruned",
    "storage": "a database of its own for the study, such as postgresql://HOST/NAME; null is a file in the store",
}
EXAMPLES: Mapping[str, str] = {
    "+search=adamw_rate": "a search that is shipped",
    "+search=adamw_rate search.trials=50 search.workers=2": "more trials; those that there are stay",
    "+search=adamw_rate model=debug training.steps=50": "its trials with other settings",
    "+search=adamw_rate schedule.warmup=0.1": "without one of its parameters",
    "+search=adamw_rate 'search.parameters.masking.rate={low:0.15,high:0.6}'": "with one more",
    "+search=my_search.yaml": "your own file, like those in conf/search",
}


def search_help(called: str) -> str:
    """The text of ``--help``. ``called``: how the door is called."""
    defaults = {field.name: field.default for field in fields(SearchConfig)}
    shown = {
        f"search.{key}={'null' if defaults[key] is None else defaults[key]}": MEANINGS[key] for key in MEANINGS
    }
    width = max(map(len, shown)) + 2
    lines = [
        "Search for the best values of settings, by trials that are runs like any other.",
        "",
        f"  {called} +search=NAME [search.KEY=VALUE ...] [KEY=VALUE ...]",
        "",
        f"Searches: {', '.join(shipped_options(SEARCHES))}; or the path of a file that ends in .yaml.",
        "",
        *(f"  {key:<{width}}{meaning}" for key, meaning in shown.items()),
        "  search.parameters.KEY={low:0.1,high:1,log:true}",
        "  search.parameters.KEY={kind:int,low:1,high:8,step:1}",
        "  search.parameters.KEY={kind:categorical,choices:[a,b],when:{OTHER:[c]}}",
        "  search.objectives.METRIC=minimize",
        "",
        "All other words are those of `minibert run`, for all trials. The same command again goes on with the",
        "same study; a trial that was interrupted continues from its checkpoint.",
        "",
        "For example:",
    ]
    for words, what in EXAMPLES.items():
        lines += [f"  {called} {words}", f"      {what}"]
    return "\n".join(lines)
