"""Toolcrib with a token and rules, but no records: what of a guarded call is the record's is the rest."""

from .toolcrib_guarded import guarded

NAME, LABEL = "toolcrib-tokens", "Toolcrib: JWT, access"
JOBS = {"tool": ("modern", "legacy")}
GROWTH = ()
PROGRAM = "toolcrib"


def launch(setting):
    return guarded(setting, {"enabled": False})
