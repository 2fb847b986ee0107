"""Which rights would new objects get that the copied ones need not have?

ALTER DEFAULT PRIVILEGES without a schema gives rights to whatever the role creates, so also to the copy's objects, on
top of those in the dump. In the build's transaction they are set aside, and put back: nobody else sees it.
"""

from __future__ import annotations

from dataclasses import dataclass

from django_gmf_router.postgres.names import quote
from django_gmf_router.schemas.cloning.sessions import Session

KINDS = {"r": "TABLES", "S": "SEQUENCES", "f": "FUNCTIONS", "T": "TYPES", "n": "SCHEMAS"}
GRANTS = """
WITH mine AS (
    SELECT defaclobjtype AS kind, defaclacl AS acl,
           acldefault(CASE defaclobjtype WHEN 'S' THEN 's' ELSE defaclobjtype END, defaclrole) AS usual
    FROM pg_default_acl WHERE defaclnamespace = 0 AND defaclrole = current_user::regrole
), given AS (
    SELECT kind, true AS now, a.grantee, a.privilege_type, a.is_grantable FROM mine, aclexplode(acl) a
  UNION ALL
    SELECT kind, false, a.grantee, a.privilege_type, a.is_grantable FROM mine, aclexplode(usual) a
)
SELECT kind::text, CASE grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(grantee) END, privilege_type, is_grantable,
       bool_or(now)
FROM given GROUP BY kind, grantee, privilege_type, is_grantable HAVING count(*) = 1
ORDER BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """The statements that set a role's default rights aside, and those that put them back."""

    set_aside: list[str]
    put_back: list[str]


def of_role(session: Session) -> Rights:
    """Return the statements for the role of a session."""
    rows = session.rows(GRANTS)
    aside = [_statement(kind, who, right, grantable, grant=not given) for kind, who, right, grantable, given in rows]
    back = [_statement(kind, who, right, grantable, grant=given) for kind, who, right, grantable, given in rows]
    return Rights(set_aside=aside, put_back=back)


def _statement(kind: str, who: str | None, right: str, grantable: bool, *, grant: bool) -> str:
    whom = "PUBLIC" if who is None else quote(who)
    if grant:
        option = " WITH GRANT OPTION" if grantable else ""
        return f"ALTER DEFAULT PRIVILEGES GRANT {right} ON {KINDS[kind]} TO {whom}{option}"
    return f"ALTER DEFAULT PRIVILEGES REVOKE {right} ON {KINDS[kind]} FROM {whom}"
