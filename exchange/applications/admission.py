"""Whether a company may have a voucher of a programme: asked before applying, and before deciding.

Judged by what applying and approving are judged by (`rules.admission_of`), and nothing is locked or set
aside: the answer is of this moment.
"""

from exchange.applications.models import AdmissionView
from exchange.applications.rules import admission_of
from exchange.applications.service import get_application
from exchange.kit.auth import Principal
from exchange.kit.database import Connection
from exchange.participants.service import get_participant
from exchange.programmes.models import Programme
from exchange.programmes.service import get_programme
from exchange.vouchers.service import company_standings


async def ask_before_applying(
    connection: Connection, principal: Principal, programme_id: int, now_us: int
) -> AdmissionView:
    """Return whether the principal may apply to a programme now, and for how much.

    Whoever is no buyer is told that it may not, and why. Raises `NotFound` where it sees no such programme.
    """
    programme = await get_programme(connection, programme_id, now_us, principal)
    return await _ask(connection, programme, principal.participant_id, now_us, applies=True)


async def ask_before_deciding(
    connection: Connection, principal: Principal, application_id: int, now_us: int
) -> AdmissionView:
    """Return whether the company of a visible application could be granted now, and how much.

    No window needs to be open for that. Raises `NotFound` for a stranger.
    """
    application = await get_application(connection, principal, application_id)
    programme = await get_programme(connection, application.programme_id, now_us, principal)
    return await _ask(connection, programme, application.buyer_id, now_us, applies=False)


async def _ask(
    connection: Connection, programme: Programme, buyer_id: int, now_us: int, *, applies: bool
) -> AdmissionView:
    buyer = await get_participant(connection, buyer_id)
    stands = await company_standings(connection, {programme.id: programme.rules}, [buyer_id], now_us)
    return admission_of(programme, buyer, stands[programme.id, buyer_id], now_us, applies=applies)
