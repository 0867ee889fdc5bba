"""The command line: python -m multimix COMMAND. Without arguments it predicts the sample films."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import multimix.apps.commands  # noqa: F401  (it registers them)
from multimix.apps.options import PARSER, complain
from multimix.images.formats import film_paths
from multimix.runtime.device import memory_in_words
from multimix.runtime.files import bundled
from multimix.runtime.stop_signal import STOPPED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Every error of the program becomes one sentence here.

    Arguments:
        arguments: the words behind `python -m multimix`; None takes those of this process.

    Returns: the exit code: 0, or 2 with one sentence on standard error, 130 when stopped, 141 when
        the reader of standard output has gone.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the parent process
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  (to the end)
        elif isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names may be any bytes
    arguments = sys.argv[1:] if arguments is None else arguments
    samples = map(str, film_paths(bundled("sample_data")))
    options = PARSER.parse_args(arguments or ["predict", *samples])
    code, sentence = 2, ""
    try:
        with memory_in_words():
            code = options.run(options)
        print(end="", flush=True)  # a full disk shows here, not after the end
    except BrokenPipeError:  # as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 141  # a shell's code for SIGPIPE
    except OSError as error:
        code, name, reason = 2, error.filename or "A file", error.strerror or error
        sentence = (
            f"{name} could not be read or written ({reason}); what was written before is whole."
        )
    except ValueError as error:
        sentence = str(error)
    except KeyboardInterrupt as stop:
        code, sentence = STOPPED, f"{str(stop) or 'stopped'}."
    with suppress(OSError):  # a closed terminal
        complain([sentence] if sentence else [])
    return code
