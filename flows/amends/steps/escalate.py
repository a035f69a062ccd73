"""escalate: apply for arbitration, and where that is lost or silent, hand a dossier to a person for the law."""

from __future__ import annotations

from collections.abc import Sequence

from amends.cases import facts as f
from amends.steps.file_complaint import file_or_look
from amends.steps.shop import Shop
from amends.steps.turns import Turn


async def escalate(shop: Shop, turns: Sequence[Turn]) -> list[Turn]:
    """Apply, look for a ruling, or open the legal task; answers with the turns still held."""
    return await file_or_look(shop, turns, f.Step.ESCALATE)
