"""Which machines has a site that stays up when one fails? Drawn for the page on the reference architecture."""

from __future__ import annotations

from tests.pictures.svg import Picture, line_height

LEFT, RIGHT = 14, 466
SMALL = 12
TITLE = "The reference architecture"
TOLD = (
    "Clients ask a load balancer, which hands requests to two web servers with gunicorn. Each web server has HAProxy: "
    "port 5000 leads to the primary, port 5001 to a replica. MapServer, QGIS Server and print read from the replicas "
    "by pg_service.conf, TinyOWS writes to the primary. Three database machines run PostgreSQL on port 5432 and "
    "Patroni with its REST interface on port 8008, which HAProxy asks. Patroni agrees in three etcd on one primary. "
    "Redis is the cache. One web server and the three databases have a green frame: make demo runs their Django and "
    "PostgreSQL."
)


def drawn() -> str:
    """Return the picture, from the clients down to etcd."""
    picture = Picture(TITLE, TOLD)
    picture.text(LEFT, 28, TITLE, size=15, bold=True)
    _clients(picture, 44)
    _web_servers(picture, 192)
    _map_servers(picture, 426)
    _databases(picture, 578)
    _etcd(picture, 806)
    _demo(picture)
    return picture.drawn(884)


def _clients(picture: Picture, top: float) -> None:
    _named(picture, LEFT, top, 286, 34, "plain", "browsers, QGIS, others")
    picture.way(f"M157 {top + 34}v26")
    _named(picture, LEFT, top + 62, 286, 54, "proxy", "load balancer :80", files=["haproxy-web.cfg"])
    picture.way(f"M157 {top + 116}v30")
    _named(picture, 330, top + 62, 136, 54, "cache", "Redis :6379", files=["redis.conf"])
    picture.way(f"M398 {top + 148}v-30")


def _web_servers(picture: Picture, top: float) -> None:
    picture.box(LEFT, top, RIGHT - LEFT, 202, "plain")
    for number, x in enumerate((26, 246), 1):
        files = ["settings.py, web.env,", "gunicorn.conf.py"]
        _named(
            picture, x, top + 12, 208, 178, "site", f"web server {number}", says=["gunicorn, Django :8000"], files=files
        )
        _named(
            picture,
            x + 10,
            top + 98,
            188,
            80,
            "proxy",
            "HAProxy",
            says=[":5000 to the primary", ":5001 to a replica"],
            files=["haproxy.cfg"],
        )
    picture.way(f"M120 {top + 202}v182")
    said = ["SQL to :5432;", "each second", "Patroni at :8008", "is asked who", "is the primary"]
    picture.lines(130, top + 252, said, size=SMALL)


def _map_servers(picture: Picture, top: float) -> None:
    says = ["MapServer, MapCache,", "QGIS Server, print: read", "TinyOWS: writes"]
    _named(
        picture,
        256,
        top,
        210,
        112,
        "map",
        "map servers, print",
        says=says,
        files=["pg_service.conf, by", "gmf_services"],
    )
    picture.way(f"M361 {top + 112}v38")


def _databases(picture: Picture, top: float) -> None:
    picture.box(LEFT, top, RIGHT - LEFT, 186, "plain")
    for number, (x, kind) in enumerate(((26, "primary"), (175, "replica"), (324, "replica")), 1):
        role = "the primary" if kind == "primary" else "a replica"
        says = [role, "PostgreSQL,", "PostGIS :5432", "Patroni :8008"]
        _named(
            picture, x, top + 12, 130, 128, kind, f"database {number}", says=says, files=["patroni.yml,", "patroni.env"]
        )
    picture.way(f"M156 {top + 60}h17", "way dashed")
    picture.way(f"M91 {top + 140}v14h298v-12", "way dashed")
    picture.text(240, top + 172, "streaming replication", size=SMALL, anchor="middle", kind="quiet")


def _etcd(picture: Picture, top: float) -> None:
    picture.way(f"M120 {top - 42}v40")
    picture.text(130, top - 16, "Patroni agrees on one primary", size=SMALL)
    _named(
        picture,
        LEFT,
        top,
        RIGHT - LEFT,
        64,
        "cache",
        "etcd 1, 2, 3",
        says=["Patroni asks :2379, they ask each other :2380"],
        files=["etcd.env"],
    )


def _demo(picture: Picture) -> None:
    for x, y, width, height in ((26, 204, 208, 178), *((x, 590, 130, 128) for x in (26, 175, 324))):
        picture.way(f"M{x} {y}h{width}v{height}h-{width}z", "marked")
    picture.way("M330 66h20", "marked")
    picture.lines(358, 62, ["make demo", "runs these"], size=SMALL)


def _named(
    picture: Picture,
    x: float,
    y: float,
    width: float,
    height: float,
    kind: str,
    name: str,
    *,
    says: list[str] | None = None,
    files: list[str] | None = None,
) -> None:
    """Draw a box with its name, what it does, and the files that say so."""
    picture.box(x, y, width, height, kind)
    centre, lines = x + width / 2, says or []
    picture.text(centre, y + 21, name, anchor="middle", bold=True)
    picture.lines(centre, y + 21 + 17, lines, size=SMALL, anchor="middle")
    for number, line in enumerate(files or []):
        below = y + 21 + 17 + (len(lines) + number) * line_height(SMALL)
        picture.text(centre, below, line, size=SMALL, anchor="middle", kind="quiet")
