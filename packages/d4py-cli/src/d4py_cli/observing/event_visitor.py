"""`EventVisitor`: calls the method for the type of an event, as `ast.NodeVisitor` for nodes."""

from __future__ import annotations

from dispel4py.events import Event


class EventVisitor:
    """An observer with a method ``visit_TYPE`` for each type of events that it takes."""

    def on_event(self, event: Event) -> None:
        """Take an event; those without a method are left out."""
        visit = getattr(self, f"visit_{type(event).__name__}", None)
        if visit is not None:
            visit(event)
