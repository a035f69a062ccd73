"""Tells facts in plain words, for timelines, dossiers and the command line."""

from __future__ import annotations

from amends.cases import facts as f


def tell(fact: f.Fact) -> str:
    """One sentence for one fact, with its why."""
    body = fact.body
    match body:
        case f.Opened():
            return f"case opened (generation {body.generation}): {body.why}"
        case f.Observed():
            seen = f"seen {body.order.status.value}, {body.lateness.state.value}: {body.lateness.why}"
            if body.order.after_sales.value != "none":
                seen += f"; after-sales {body.order.after_sales.value}"
            if body.penalty is not None:
                seen += f"; at stake {body.penalty}"
            return seen + ("".join(f"; CONTRADICTION: {c}" for c in body.contradictions))
        case f.SeenAgain():
            return "seen again, unchanged"
        case f.Unseen():
            return f"could not be looked at ({body.why}); again at {body.retry_at:%Y-%m-%d %H:%M} UTC"
        case f.Proposed() if body.offer.none:
            return f"the policy offers nothing: {body.offer.why}"
        case f.Proposed():
            what = str(body.offer.remedy) if body.offer.remedy else "an explanation"
            date = (
                f", to ship by {body.offer.new_ship_by:%Y-%m-%d %H:%M} UTC" if body.offer.new_ship_by else ""
            )
            return f"offer {body.round} proposed: {what}{date}, because {body.offer.why}"
        case f.Contacted():
            until = f", a reply by {body.reply_by:%Y-%m-%d %H:%M} UTC" if body.reply_by else ""
            return f"customer told by {body.via} (offer {body.round}){until}"
        case f.Unreached():
            return f"the customer was not reached: {body.why}"
        case f.Replied():
            more = f", by {body.ship_by:%Y-%m-%d}" if body.ship_by else ""
            return f"customer: {body.answer.value}{more}" + (f", wants {body.remedy}" if body.remedy else "")
        case f.Silent():
            return f"no reply; by {body.rule} that means {body.means.value}"
        case f.SettlementRequested():
            return f"{body.remedy} asked for; the platform reviews it"
        case f.Settled():
            return f"{body.remedy or 'nothing'} given" + (
                " (seen by the order's own state)" if body.seen else ""
            )
        case f.SettlementRejected():
            return f"{body.remedy} was refused: {body.why}"
        case f.Extended():
            return f"deadline moved to {body.until:%Y-%m-%d %H:%M} UTC"
        case f.ExtensionRejected():
            return f"deadline not moved: {body.why}"
        case f.Filed():
            return f"{body.instance} filed" + (f" as {body.ref}" if body.ref else "")
        case f.FilingRejected():
            return f"{body.instance} refused: {body.why}"
        case f.Looked():
            return f"no ruling on the {body.instance} yet"
        case f.Ruled():
            return f"{body.instance} ruled {body.verdict}" + (f": {body.note}" if body.note else "")
        case f.Held():
            return f"held ({body.cause}): {body.why}"
        case f.Released():
            return "released" + (f": {body.why}" if body.why else "")
        case f.ApprovalAsked():
            amount = f" of {body.amount}" if body.amount else ""
            return f"a yes to {body.what}{amount} asked on list {body.list}"
        case f.Approved():
            return f"{body.what} approved" + (", one more yes needed" if body.second else "")
        case f.ApprovalRefused():
            return f"{body.what} refused" + (f": {body.why}" if body.why else "")
        case f.TaskOpened():
            return f"task {body.task} opened: {body.what}, due {body.due_at:%Y-%m-%d %H:%M} UTC"
        case f.TaskDone():
            return f"task {body.task} done: {body.outcome}" + (f" ({body.note})" if body.note else "")
        case f.Uncertain():
            end = "; a person finds out" if body.quarantined else "; looked for later"
            return f"what became of {body.act} is not known ({body.why}){end}"
        case f.Cleared():
            return f"found out: {'it was done' if body.done else 'it was not done'}" + (
                f" ({body.note})" if body.note else ""
            )
        case f.Erased():
            return "personal values erased"
        case f.Closed():
            return f"closed: {body.outcome.value}, {body.why}"
