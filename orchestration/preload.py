"""What ops fork from: the fork server imports this once, and no op pays for a slow import again."""

import gc
from importlib import import_module

MODULES = (
    "orchestration.definitions",
    "pandas",
    "presidio_analyzer",
    "great_expectations",
    "trafilatura",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
)


def _preload() -> None:
    """Nothing here may start a thread or open a connection: neither survives a fork."""
    for module in MODULES:
        import_module(module)

    import numba

    # The first function compiled sets the compiler up, which takes longer than ours take from their cache.
    numba.njit("int64()")(lambda: 0)

    # An op's garbage collector would look at, and so copy, half a million objects that nothing will free.
    gc.collect()
    gc.freeze()


_preload()
