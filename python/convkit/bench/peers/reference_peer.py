"""convkit's own plain loops, which define every op."""

from __future__ import annotations

from ... import _core, config
from ..cases import Case
from . import Contestant, Peer


def load() -> Peer:
    return ReferencePeer()


class ReferencePeer(Peer):
    name = "reference"

    def __init__(self):
        self.version = config.package_version()

    def set_threads(self, count):
        pass  # convkit's own setting holds

    def contestants(self, case: Case):
        def on_loops(function):
            def call():
                active = _core.active_isa()
                _core.set_isa("reference")
                try:
                    return function()
                finally:
                    _core.set_isa(active)

            return call

        return {"loops": Contestant(on_loops(case.run), on_loops(case.results))}
